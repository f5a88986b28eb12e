#![no_main]
quarry_dfs_libfuzzer::fuzz!("namenode_rpc_port");
