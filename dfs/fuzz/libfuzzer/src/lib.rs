//! Joins libFuzzer to the targets of `quarry-dfs-fuzz`.

pub use libfuzzer_sys::fuzz_target;
pub use quarry_dfs_fuzz::target;

/// Makes a libFuzzer binary of the target of that name.
#[macro_export]
macro_rules! fuzz {
    ($name:literal) => {
        $crate::fuzz_target!(|bytes: &[u8]| {
            ($crate::target($name).expect("the name of a target").run)(bytes)
        });
    };
}
