//! One cluster that all tests share which need only any.

use std::sync::OnceLock;

use crate::support::{Home, Local};

/// A home whose last started cluster runs: commands need no address. It ends with the test binary, whose end closes the
/// cluster's standard input.
pub fn shared() -> &'static Home {
    static SHARED: OnceLock<(Home, Local)> = OnceLock::new();
    let start = || {
        let home = Home::new();
        let dir = home.path("cluster");
        let local = Local::start(&home, &dir, &["--nodes", "2"]);
        (home, local)
    };
    &SHARED.get_or_init(start).0
}
