//! Stock over gRPC.
