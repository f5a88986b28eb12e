#![no_main]
quarry_dfs_libfuzzer::fuzz!("datanode_transfer_port");
