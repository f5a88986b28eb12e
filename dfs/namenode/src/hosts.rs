//! Reads the operator's tables of hosts and racks.

use std::path::Path;

use crate::config::NameNodeConfig;
use crate::core::topology::{HostTables, normal_rack, parse_hosts, parse_racks};

/// Largest table that is read, bytes.
const MAX_TABLE: u64 = 64 << 20;

/// The tables as they are now.
///
/// # Errors
/// The first file that cannot be read or understood, by name: nothing is changed then.
pub(crate) fn read(config: &NameNodeConfig) -> Result<HostTables, String> {
    let mut tables = HostTables::default();
    for (host, rack) in &config.topology {
        tables.racks.insert(host.clone(), normal_rack(rack));
    }
    if let Some(path) = &config.topology_file {
        let racks = parse_racks(&text(path)?).map_err(|problem| format!("{}: {problem}", path.display()))?;
        tables.racks.extend(racks);
    }
    if let Some(path) = &config.include_file {
        tables.include = parse_hosts(&text(path)?);
    }
    if let Some(path) = &config.exclude_file {
        tables.exclude = parse_hosts(&text(path)?);
    }
    Ok(tables)
}

fn text(path: &Path) -> Result<String, String> {
    let named = |problem: std::io::Error| format!("{}: {problem}", path.display());
    let length = std::fs::metadata(path).map_err(named)?.len();
    if length > MAX_TABLE {
        return Err(format!(
            "{}: {length} bytes: expected at most {MAX_TABLE}",
            path.display()
        ));
    }
    std::fs::read_to_string(path).map_err(named)
}
