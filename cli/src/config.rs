//! One `quarry.toml` for every role: the roles' own configuration structs side by side, and the client's.
//!
//! Four layers, the later wins: defaults, the file, the environment (`QUARRY__SECTION__KEY`), flags. Each layer is
//! checked by itself, so that an error names the file and line, the variable or the flag that caused it. A key that
//! no role knows is refused in every layer.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use quarry_coordinator::CoordinatorConfig;
use quarry_dfs_datanode::DataNodeConfig;
use quarry_dfs_namenode::NameNodeConfig;
use quarry_worker::WorkerConfig;
use serde::{Deserialize, Serialize};

/// Prefix of the environment variables that set configuration keys.
pub const ENV_PREFIX: &str = "QUARRY__";

/// Everything that can be configured, by section.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The metadata server of the file system.
    pub namenode: NameNodeConfig,
    /// A storage server of the file system.
    pub datanode: DataNodeConfig,
    /// A process that runs fragments of queries beside a DataNode.
    pub worker: WorkerConfig,
    /// The SQL front door.
    pub coordinator: CoordinatorConfig,
    /// What `quarry fs`, `quarry admin`, `quarry sql` and `quarry tpch` talk to.
    pub client: ClientConfig,
    /// Log output of every role and command.
    pub log: LogConfig,
}

/// Where the client commands find the cluster and as whom they speak.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientConfig {
    /// The NameNode's RPC address, `host:port`. Absent: the cluster last started by `quarry local` for this user.
    pub namenode: Option<String>,
    /// The NameNode's address for DataNodes and administrators, `host:port`. Absent: as for `namenode`, where that is absent, too; else
    /// port 8021 of the same host.
    pub namenode_link: Option<String>,
    /// The coordinator's Flight SQL address, `host:port` or a URL. Absent: as for `namenode`.
    pub url: Option<String>,
    /// The user name sent to the cluster. Absent: the name of the operating system's user.
    pub user: Option<String>,
    /// Replicas of files written by client commands. Absent: the NameNode's default.
    pub replication: Option<u16>,
    /// Block size of files written by client commands. Absent: the NameNode's default.
    pub block_size: Option<ByteSize>,
}

/// How a process writes its log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Which events are written, in `tracing`'s filter syntax: `info`, `quarry_dfs_namenode=debug,warn`.
    pub filter: String,
    /// How an event is written.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info".into(),
            format: LogFormat::Auto,
        }
    }
}

/// Form of the log's lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text when standard error is a terminal, else JSON.
    #[default]
    Auto,
    /// One readable line per event.
    Text,
    /// One JSON object per line.
    Json,
}

/// Where the value of a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The role's default.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable of this name.
    Environment(String),
    /// A command line flag, spelled as the user wrote it.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A configuration that cannot be used, naming the layer and the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A layer holds an unknown key or a value of the wrong type.
    #[error("configuration, {origin}: {problem}")]
    Invalid {
        /// The layer.
        origin: Origin,
        /// What is wrong, with the key.
        problem: String,
    },
    /// A flag or variable does not name a `section.key`.
    #[error("configuration, {origin}: expected SECTION.KEY, for example namenode.default_replication")]
    NotAKey {
        /// The layer.
        origin: Origin,
    },
}

/// One key set outside the file: `section.key`, its text, and who set it.
#[derive(Debug, Clone)]
pub struct Setting {
    /// `section.key`.
    pub key: String,
    /// The value as text; a string, or a TOML literal where the key is not a string.
    pub value: String,
    /// Who set it.
    pub origin: Origin,
}

impl Setting {
    /// A setting made by the command line flag `flag`.
    pub fn flag(flag: impl Into<String>, key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            origin: Origin::Flag(flag.into()),
        }
    }

    /// `SECTION.KEY=VALUE`, as given to `--set`.
    ///
    /// # Errors
    /// The text has no `=`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let flag = || Origin::Flag(format!("--set {text}"));
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| ConfigError::NotAKey { origin: flag() })?;
        Ok(Self {
            key: key.trim().into(),
            value: value.trim().into(),
            origin: flag(),
        })
    }
}

/// The settings made by variables of the form `QUARRY__SECTION__KEY`, in the order of their names.
pub fn from_environment(variables: impl Iterator<Item = (String, String)>) -> Vec<Setting> {
    let mut settings: Vec<_> = variables
        .filter_map(|(name, value)| {
            let key = name.strip_prefix(ENV_PREFIX)?.to_lowercase().replace("__", ".");
            Some(Setting {
                key,
                value,
                origin: Origin::Environment(name),
            })
        })
        .collect();
    settings.sort_by(|a, b| a.key.cmp(&b.key));
    settings
}

/// The first configuration file that exists among the usual places, if none was named.
pub fn usual_file() -> Option<PathBuf> {
    let home = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
    let places = [
        home.map(|dir| dir.join("quarry/quarry.toml")),
        Some(PathBuf::from("/etc/quarry/quarry.toml")),
    ];
    places.into_iter().flatten().find(|path| path.is_file())
}

/// A configuration and where each of its keys comes from.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    origins: BTreeMap<String, Origin>,
}

/// What a configuration is made of besides the defaults. Further settings can be laid on top for one role of many.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Single keys, the later one wins.
    pub settings: Vec<Setting>,
}

impl Layers {
    /// These layers with `more` settings over them.
    #[must_use]
    pub fn with(&self, more: impl IntoIterator<Item = Setting>) -> Self {
        let settings = self.settings.iter().cloned().chain(more).collect();
        Self {
            file: self.file.clone(),
            settings,
        }
    }

    /// Puts the layers together: defaults, the file, then the settings in their order.
    ///
    /// # Errors
    /// A layer that cannot be read, holds an unknown key, or a value of the wrong type.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut merged = toml::Table::new();
        let mut origins = BTreeMap::new();
        if let Some(path) = &self.file {
            let table = read_file(path)?;
            note(&table, &Origin::File(path.clone()), &mut origins);
            merge(&mut merged, table);
        }
        for setting in &self.settings {
            merge(&mut merged, typed(setting)?);
            origins.insert(setting.key.clone(), setting.origin.clone());
        }
        let config = merged.try_into().map_err(|error| invalid(&Origin::Default, &error))?;
        Ok(Loaded { config, origins })
    }
}

impl Loaded {
    /// Every key that has a value, as `section.key`, its value, and where it comes from.
    ///
    /// # Errors
    /// A value that TOML cannot hold.
    pub fn entries(&self) -> Result<Vec<(String, toml::Value, Origin)>, toml::ser::Error> {
        let mut leaves = Vec::new();
        flatten(&toml::Table::try_from(&self.config)?, "", &mut leaves);
        Ok(leaves
            .into_iter()
            .map(|(key, value)| (key.clone(), value, self.origin(&key)))
            .collect())
    }

    /// Where the value of `section.key` comes from.
    pub fn origin(&self, key: &str) -> Origin {
        // A setting may have set a whole table, whose leaves then share its origin.
        let own = |(known, _): &(&String, &Origin)| key == *known || key.starts_with(&format!("{known}."));
        self.origins
            .iter()
            .filter(own)
            .map(|(_, origin)| origin.clone())
            .next_back()
            .unwrap_or(Origin::Default)
    }

    /// Everything wrong with the roles' sections that some layer mentions. A machine configures the roles that it runs, so
    /// a section that nobody mentions may be unfit to run.
    pub fn problems(&self) -> Vec<String> {
        let Config {
            namenode,
            datanode,
            worker,
            coordinator,
            ..
        } = &self.config;
        let mut problems = Vec::new();
        let mut check = |section: &str, found: Result<(), String>| {
            if self.origins.keys().any(|key| key.starts_with(&format!("{section}."))) {
                problems.extend(found.err().map(|problem| format!("[{section}] {problem}")));
            }
        };
        check("namenode", namenode.validate().map_err(|error| error.to_string()));
        check("datanode", datanode.validate().map_err(|error| error.to_string()));
        check("worker", worker.validate().map_err(|problems| problems.join("; ")));
        check(
            "coordinator",
            coordinator.validate().map_err(|problems| problems.join("; ")),
        );
        problems
    }
}

fn read_file(path: &Path) -> Result<toml::Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.into(),
        source,
    })?;
    let origin = Origin::File(path.into());
    // Parsed as the configuration first: its errors show the line, a later merge could not.
    toml::from_str::<Config>(&text).map_err(|error| invalid(&origin, &error))?;
    toml::from_str(&text).map_err(|error| invalid(&origin, &error))
}

/// The one-key table of a setting, its text read as the type that the key has.
fn typed(setting: &Setting) -> Result<toml::Table, ConfigError> {
    let path: Vec<_> = setting.key.split('.').collect();
    if path.len() < 2 || path.iter().any(|part| part.is_empty()) {
        return Err(ConfigError::NotAKey {
            origin: setting.origin.clone(),
        });
    }
    let as_text = nested(&path, toml::Value::String(setting.value.clone()));
    let Err(text_error) = as_text.clone().try_into::<Config>() else {
        return Ok(as_text);
    };
    let Some(literal) = literal(&setting.value) else {
        return Err(invalid(&setting.origin, &text_error));
    };
    let as_literal = nested(&path, literal);
    as_literal
        .clone()
        .try_into::<Config>()
        .map_err(|error| invalid(&setting.origin, &error))?;
    Ok(as_literal)
}

fn literal(text: &str) -> Option<toml::Value> {
    toml::from_str::<toml::Table>(&format!("value = {text}"))
        .ok()?
        .remove("value")
}

fn nested(path: &[&str], value: toml::Value) -> toml::Table {
    let (last, parents) = path.split_last().expect("a key has at least one part");
    let leaf = toml::Table::from_iter([(last.to_string(), value)]);
    parents.iter().rev().fold(leaf, |table, part| {
        toml::Table::from_iter([(part.to_string(), table.into())])
    })
}

fn invalid(origin: &Origin, error: &toml::de::Error) -> ConfigError {
    ConfigError::Invalid {
        origin: origin.clone(),
        problem: error.to_string().trim_end().replace('\n', "\n  "),
    }
}

fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn flatten(table: &toml::Table, prefix: &str, leaves: &mut Vec<(String, toml::Value)>) {
    for (key, value) in table {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            toml::Value::Table(inner) => flatten(inner, &path, leaves),
            leaf => leaves.push((path, leaf.clone())),
        }
    }
}

fn note(table: &toml::Table, origin: &Origin, origins: &mut BTreeMap<String, Origin>) {
    let mut leaves = Vec::new();
    flatten(table, "", &mut leaves);
    origins.extend(leaves.into_iter().map(|(key, _)| (key, origin.clone())));
}
