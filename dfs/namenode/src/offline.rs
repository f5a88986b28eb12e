//! Work on a NameNode's directory while no NameNode uses it.

use std::net::Ipv4Addr;
use std::path::Path;

use uuid::Uuid;

use crate::core::state::State;
use crate::driver::unix_ms;
use crate::error::{Error, Result};
use crate::log::directory::Directory;
use crate::log::{checkpoint, recovery};

/// Formats an empty or missing directory as a new cluster that begins with `state`, as after an import. On return it is on disk.
///
/// # Errors
/// `InUse`, `Foreign` for a directory that holds something, or `Io`.
pub fn format_with(dir: &Path, state: &State) -> Result<()> {
    let random = Uuid::new_v4().as_u64_pair().1;
    let directory = Directory::open(dir, Ipv4Addr::LOCALHOST.into(), unix_ms(), random)?;
    if !recovery::is_empty(directory.path())? {
        return Err(Error::Foreign {
            dir: dir.to_owned(),
            problem: "it holds a namespace already".to_owned(),
        });
    }
    checkpoint::write(directory.path(), state).map(|_| ())
}
