//! Orders over HTTP, which reads users over HTTP and reserves stock over gRPC.
