//! Runs fragments of queries beside the blocks that they read.
//!
//! A worker takes stages of plans from coordinators, executes its tasks of them, and hands their rows to whoever asks: other workers or
//! the coordinator. It registers with its coordinator and keeps its place there by heartbeats.
//!
//! - [`config`]: what an operator sets
//! - [`service`]: the server for tasks, with a worker's life from start to shutdown
//! - `sessions`: the session of each task: shared set-up, the user's options, counted readers
//! - `register`: registration and heartbeats
//! - `sweep`: frees what ended tasks held
//! - `on_cpu`: moves the work of requests to the threads for operators
//!
//! It plans nothing, and knows neither the coordinator's insides nor the DataNode's: local replicas are passed in.

pub mod config;
pub mod error;
mod on_cpu;
mod register;
pub mod service;
mod sessions;
mod sweep;

pub use config::WorkerConfig;
pub use error::Error;
pub use service::{Worker, WorkerHandle};
