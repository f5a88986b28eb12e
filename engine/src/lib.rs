//! What coordinator and worker must agree on, so that a plan made by one runs the same on the other.
//!
//! - [`session`]: options, functions and the runtime environment (memory, spill, object stores) of both sides; [`query_memory`]: a query's part of it
//! - [`formats`]: tables over files, from their definition to a scan of block-aligned splits
//! - [`split`]: how files are cut along blocks; [`files`]: where files and their blocks are looked up
//! - [`codec`], [`panic_guard`], [`yielding`], [`bounded_loop`], [`known_order`], [`grouping_sets`], [`row_numbers`], [`sieved_join`]: our own plan operators and rules, and how they travel; [`channels`]: the connections they travel on
//! - [`write`](mod@write): rows on their way into new files, beside the nodes that make them
//! - [`pool`]: memory whose refusals name the setting
//! - [`functions`]: functions in the place of some of DataFusion's
//! - [`registration`]: the protocol by which a worker becomes known
//! - [`error`], [`figures`], [`id`]: what a query's failure, its figures and its name are
//!
//! This crate schedules nothing and knows neither coordinator nor worker.

pub mod bounded_loop;
pub mod channels;
pub mod codec;
pub mod cpu;
pub mod dfs_files;
pub mod error;
pub mod figures;
pub mod files;
pub mod formats;
pub mod functions;
pub mod grouping_sets;
mod hidden_input;
pub mod id;
pub mod known_order;
pub mod one_input;
pub mod panic_guard;
pub mod pool;
pub mod query_memory;
pub mod registration;
pub mod row_numbers;
pub mod session;
pub mod sieved_join;
pub mod split;
pub mod write;
pub mod yielding;
