#![no_main]
quarry_dfs_libfuzzer::fuzz!("transfer_op");
