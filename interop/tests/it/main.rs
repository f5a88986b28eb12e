//! Tests of the shipped binary by programs that others wrote. They need what `interop/setup` fetches.

mod adbc;
mod fsshell;
mod hdfs_native;
