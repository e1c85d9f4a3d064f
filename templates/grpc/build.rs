//! Compiles the protobuf definition. protox is a protobuf compiler in Rust, so `protoc` need not be installed.

use std::path::PathBuf;

use anyhow::Context as _;
use prost::Message as _;

const PROTO: &str = "proto/template_grpc/v1/template_grpc.proto";

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile([PROTO], ["proto"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("OUT_DIR is not set; Cargo sets it")?);
    // The reflection service serves these descriptors.
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
