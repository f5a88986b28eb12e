#![no_main]
quarry_dfs_libfuzzer::fuzz!("edit_log");
