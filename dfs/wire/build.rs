//! Compiles the protobuf descriptions with `protox`, so that nobody has to install `protoc`.

use std::path::Path;

/// Roots of the import graph, below `proto/`.
const PROTOS: [&str; 4] = [
    "hadoop/client_namenode.proto",
    "hadoop/client_datanode.proto",
    "hadoop/data_transfer.proto",
    "hadoop/namenode_info.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let root = Path::new("proto");
    let hadoop = protox::compile(PROTOS, [root])?;
    tonic_prost_build::configure().bytes(".").compile_fds(hadoop)?;
    let link = protox::compile(
        [
            "quarry/dfs/v1/datanode_link.proto",
            "quarry/dfs/v1/inter_datanode.proto",
            "quarry/dfs/v1/admin.proto",
        ],
        [root],
    )?;
    // Without the generated `connect(address)`: the service's own method has that name. Clients bring their channel.
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_fds(link)?;
    Ok(())
}
