#![no_main]
quarry_dfs_libfuzzer::fuzz!("block_files");
