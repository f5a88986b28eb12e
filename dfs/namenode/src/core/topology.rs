//! Which hosts may serve, which are to leave, and on which rack each is: the operator's tables.

use std::collections::{BTreeMap, BTreeSet};

use super::datanodes::{DEFAULT_RACK, DataNodeDescriptor};

/// The operator's tables. Hosts are named by uuid, `ip:port`, `host:port`, ip or host name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostTables {
    /// Hosts that may serve; empty for all.
    pub include: BTreeSet<String>,
    /// Hosts that are to be decommissioned.
    pub exclude: BTreeSet<String>,
    /// Rack by host.
    pub racks: BTreeMap<String, String>,
}

/// The names under which a DataNode may be listed, the most exact first.
pub(crate) fn names_of(node: &DataNodeDescriptor) -> [String; 5] {
    [
        node.uuid.clone(),
        format!("{}:{}", node.ip, node.xfer_port),
        format!("{}:{}", node.hostname, node.xfer_port),
        node.ip.clone(),
        node.hostname.clone(),
    ]
}

impl HostTables {
    /// Whether a DataNode may serve.
    pub fn admits(&self, node: &DataNodeDescriptor) -> bool {
        self.include.is_empty() || names_of(node).iter().any(|name| self.include.contains(name))
    }

    /// Whether a DataNode is to be decommissioned.
    pub fn excludes(&self, node: &DataNodeDescriptor) -> bool {
        !self.exclude.is_empty() && names_of(node).iter().any(|name| self.exclude.contains(name))
    }

    /// The rack that the table gives a DataNode.
    pub fn rack(&self, node: &DataNodeDescriptor) -> Option<&str> {
        names_of(node)
            .iter()
            .find_map(|name| self.racks.get(name))
            .map(String::as_str)
    }
}

/// Lines of a host list: a name each, `#` begins a comment.
pub fn parse_hosts(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// Lines of a topology table: `host /rack`, `#` begins a comment. HDFS's TableMapping has the same form.
///
/// # Errors
/// The first line that is not of that form, with its number.
pub fn parse_racks(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut racks = BTreeMap::new();
    for (n, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        match fields[..] {
            [] => {}
            [host, rack] if is_rack(rack) => {
                racks.insert(host.to_owned(), normal_rack(rack));
            }
            _ => return Err(format!("line {}: expected `host /rack`, found {line:?}", n + 1)),
        }
    }
    Ok(racks)
}

/// Whether a text is a rack's name.
pub fn is_rack(text: &str) -> bool {
    text.starts_with('/') && text.len() <= 255 && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// The name without a closing slash; the default rack for an empty one.
pub fn normal_rack(text: &str) -> String {
    match text.trim_end_matches('/') {
        "" => DEFAULT_RACK.to_owned(),
        rack => rack.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tables_are_read_with_comments_and_refused_by_line() {
        assert_eq!(
            parse_hosts("a b:1 # two\n\n#c\n d").into_iter().collect::<Vec<_>>(),
            ["a", "b:1", "d"]
        );
        let racks = parse_racks("10.0.0.1 /r1/\n# none\nhost2\t/dc/r2 # here\n").unwrap();
        assert_eq!((&*racks["10.0.0.1"], &*racks["host2"]), ("/r1", "/dc/r2"));
        assert!(parse_racks("a /r\nb r2").unwrap_err().starts_with("line 2"));
    }
}
