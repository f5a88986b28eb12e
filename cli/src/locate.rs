//! Which cluster a client command means: a flag, the environment or the configuration name it; else it is the one
//! that this user last started with `quarry local`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::ClientConfig;
use crate::local::Endpoints;

/// The pointer to the last started local cluster, inside the state directory.
const POINTER: &str = "local-cluster";

/// Port of a NameNode's link unless configured.
const DEFAULT_LINK_PORT: u16 = 8021;

/// The user's directory for what outlives a session but is no configuration: history, the last cluster.
pub fn state_dir() -> Option<PathBuf> {
    std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .map(|dir| dir.join("quarry"))
}

/// Remembers `dir` as this user's last started cluster.
///
/// # Errors
/// The state directory cannot be written.
pub fn remember(dir: &Path) -> std::io::Result<()> {
    let Some(state) = state_dir() else { return Ok(()) };
    std::fs::create_dir_all(&state)?;
    std::fs::write(state.join(POINTER), dir.as_os_str().as_encoded_bytes())
}

fn last_started() -> anyhow::Result<Endpoints> {
    let none = "no cluster named and none started by `quarry local`: give --namenode or --url, or start one";
    let pointer = state_dir().context(none)?.join(POINTER);
    let dir = std::fs::read_to_string(&pointer).context(none)?;
    Endpoints::read(Path::new(&dir))
        .with_context(|| format!("the last local cluster, in {dir}, is not running: start it with `quarry local`"))
}

/// The NameNode's RPC address, `host:port`.
///
/// # Errors
/// None is configured and no local cluster is known.
pub fn namenode(client: &ClientConfig) -> anyhow::Result<String> {
    match &client.namenode {
        Some(address) => Ok(address.trim_start_matches("hdfs://").trim_end_matches('/').to_owned()),
        None => Ok(last_started()?.namenode.rpc.to_string()),
    }
}

/// The NameNode's address for DataNodes and administrators, `host:port`.
///
/// # Errors
/// None is configured and no local cluster is known.
pub fn namenode_link(client: &ClientConfig) -> anyhow::Result<String> {
    if let Some(address) = &client.namenode_link {
        return Ok(address.clone());
    }
    if client.namenode.is_none() {
        return Ok(last_started()?.namenode.link.to_string());
    }
    let rpc = namenode(client)?;
    // A local cluster's ports are chosen by the system: its file knows the other one.
    if let Some(local) = last_started()
        .ok()
        .filter(|local| local.namenode.rpc.to_string() == rpc)
    {
        return Ok(local.namenode.link.to_string());
    }
    let host = rpc.rsplit_once(':').map_or(rpc.as_str(), |(host, _)| host);
    Ok(format!("{host}:{DEFAULT_LINK_PORT}"))
}

/// The coordinator's address as a URL for `tonic`.
///
/// # Errors
/// None is configured and no local cluster is known, or the scheme is not one of Flight's without encryption.
pub fn sql_url(client: &ClientConfig) -> anyhow::Result<String> {
    match &client.url {
        Some(url) => normalize(url),
        None => normalize(&last_started()?.coordinator.flight_sql.to_string()),
    }
}

/// The name under which a command speaks to the cluster: configured, else Hadoop's variable, else the operating system's
/// user.
pub fn user(client: &ClientConfig) -> String {
    let named = client.user.clone().or_else(|| std::env::var("HADOOP_USER_NAME").ok());
    named
        .filter(|name| !name.is_empty())
        .or_else(system_user)
        .unwrap_or_else(|| "quarry".into())
}

/// The operating system's name of the user, from its table rather than from variables, which a daemon lacks.
fn system_user() -> Option<String> {
    let id = rustix::process::getuid().as_raw().to_string();
    let table = std::fs::read_to_string("/etc/passwd").ok()?;
    let name = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    // Users of a directory service are not in the table.
    name.or_else(|| std::env::var("USER").ok())
}

fn normalize(url: &str) -> anyhow::Result<String> {
    let address = match url.split_once("://") {
        None => url,
        Some(("http" | "grpc" | "grpc+tcp" | "quarry", rest)) => rest,
        Some((scheme, _)) => bail!("`{url}`: scheme `{scheme}` is not supported, expected grpc://HOST:PORT"),
    };
    Ok(format!("http://{}", address.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_take_flights_plain_schemes() {
        for text in ["h:1", "http://h:1", "grpc://h:1/", "grpc+tcp://h:1", "quarry://h:1"] {
            assert_eq!(normalize(text).unwrap(), "http://h:1");
        }
        assert!(normalize("ftp://h:1").unwrap_err().to_string().contains("`ftp`"));
    }

    #[test]
    fn the_configured_user_wins() {
        let client = ClientConfig {
            user: Some("ann".into()),
            ..ClientConfig::default()
        };
        assert_eq!(user(&client), "ann");
        assert!(system_user().is_some_and(|name| !name.is_empty()));
    }

    #[test]
    fn a_configured_namenode_may_be_a_url() {
        let client = ClientConfig {
            namenode: Some("hdfs://nn:8020/".into()),
            ..ClientConfig::default()
        };
        assert_eq!(namenode(&client).unwrap(), "nn:8020");
        assert_eq!(namenode_link(&client).unwrap(), "nn:8021");
    }
}
