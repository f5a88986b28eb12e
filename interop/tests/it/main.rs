//! Tests of the shipped binary by programs that others wrote. They need what `interop/setup` fetches.

mod adbc;
mod chdb;
mod differential;
mod fsshell;
mod hadoop;
mod hdfs_native;
mod jdbc;
mod spark;
mod sqlline;
