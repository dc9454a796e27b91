//! Compiles `proto/` into Rust with no system `protoc`.

use std::path::{Path, PathBuf};

const FILES: [&str; 7] =
    ["openshell.proto", "sandbox.proto", "datamodel.proto", "cluster.proto", "sync.proto", "peer.proto", "log.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Relative to the package, as cargo runs it: a target folder may serve several checkouts.
    let folder = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut compiler = protox::Compiler::new([folder])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // The descriptor is written by protox itself: prost's own types would drop the options of ours.
    std::fs::write(out.join("openshell.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_client(std::env::var_os("CARGO_FEATURE_CLIENT").is_some())
        .build_server(std::env::var_os("CARGO_FEATURE_SERVER").is_some())
        // Ordered maps everywhere, so that an encoding is canonical.
        .btree_map(".")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
