//! The protocol by which a worker registers with a coordinator and keeps its place by heartbeats.
//!
//! The messages are documented in `proto/quarry/engine/v1/registration.proto`.

use std::time::Duration;

/// Time between two heartbeats of a worker.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Generated messages, client and server.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::clone_on_ref_ptr
)]
pub mod v1 {
    tonic::include_proto!("quarry.engine.v1");
}
