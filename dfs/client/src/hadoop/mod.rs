//! The configuration of an existing Hadoop installation: `core-site.xml` and `hdfs-site.xml`.
//!
//! Values refer to each other by `${name}`, to the environment by `${env.NAME}`, and to the user by `${user.name}`. The later
//! file wins, except over a value that an earlier one called final.

mod settings;
mod xml;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The files, in the order in which Hadoop reads them.
const FILES: [&str; 2] = ["core-site.xml", "hdfs-site.xml"];

/// Hadoop gives up on values that refer to each other more often than that.
const MAX_SUBSTITUTIONS: usize = 20;

/// Port of a NameNode that is named without one.
const DEFAULT_PORT: u16 = 8020;

/// A Hadoop configuration.
#[derive(Clone, Debug, Default)]
pub struct HadoopConf {
    values: HashMap<String, Value>,
}

#[derive(Clone, Debug)]
struct Value {
    text: String,
    is_final: bool,
}

impl HadoopConf {
    /// Reads the files of a configuration directory; those that are not there are left out.
    ///
    /// # Errors
    /// [`Error::Config`] if none is there, or one cannot be read or understood.
    pub fn load(dir: &Path) -> Result<Self> {
        let mut conf = Self::default();
        let mut found = false;
        for name in FILES {
            let path = dir.join(name);
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unusable(&path, &error.to_string())),
            };
            found = true;
            conf.add(&text).map_err(|problem| unusable(&path, &problem))?;
        }
        if found {
            Ok(conf)
        } else {
            Err(unusable(dir, "holds neither core-site.xml nor hdfs-site.xml"))
        }
    }

    /// The configuration that the environment names: `HADOOP_CONF_DIR`, else `HADOOP_HOME/etc/hadoop`.
    ///
    /// # Errors
    /// As [`Self::load`], if the environment names one.
    pub fn from_env() -> Result<Option<Self>> {
        let set = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        if let Some(dir) = set("HADOOP_CONF_DIR") {
            return Self::load(&dir).map(Some);
        }
        let dir = set("HADOOP_HOME").map(|home| home.join("etc/hadoop"));
        match dir.filter(|dir| FILES.iter().any(|name| dir.join(name).exists())) {
            Some(dir) => Self::load(&dir).map(Some),
            None => Ok(None),
        }
    }

    /// Adds the properties of a configuration file's text.
    fn add(&mut self, text: &str) -> Result<(), String> {
        for property in xml::properties(text)? {
            if self.values.get(&property.name).is_some_and(|known| known.is_final) {
                continue;
            }
            let value = Value {
                text: property.value,
                is_final: property.is_final,
            };
            self.values.insert(property.name, value);
        }
        Ok(())
    }

    /// Sets a value, as `-D name=value` does.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let value = Value {
            text: value.into(),
            is_final: false,
        };
        self.values.insert(name.into(), value);
    }

    /// A value, with what it refers to put in its place. What refers to nothing stays as it is written.
    pub fn get(&self, name: &str) -> Option<String> {
        let mut text = self.values.get(name)?.text.trim().to_owned();
        let mut from = 0;
        for _ in 0..MAX_SUBSTITUTIONS {
            let Some(start) = text[from..].find("${").map(|at| at + from) else {
                break;
            };
            let Some(end) = text[start..].find('}').map(|at| at + start) else {
                break;
            };
            match self.referred(&text[start + 2..end]) {
                Some(value) => text.replace_range(start..=end, &value),
                None => from = end,
            }
        }
        Some(text)
    }

    fn referred(&self, name: &str) -> Option<String> {
        if let Some(variable) = name.strip_prefix("env.") {
            let (variable, default) = match variable.split_once(":-").or_else(|| variable.split_once('-')) {
                Some((variable, default)) => (variable, Some(default.to_owned())),
                None => (variable, None),
            };
            return std::env::var(variable)
                .ok()
                .filter(|value| !value.is_empty())
                .or(default);
        }
        match name {
            "user.name" => std::env::var("USER").ok(),
            "user.home" => std::env::var("HOME").ok(),
            _ => self.values.get(name).map(|value| value.text.trim().to_owned()),
        }
    }

    /// What `hdfs:///path` and `/path` mean: the name service or `host:port` of `fs.defaultFS`, if that is an HDFS.
    pub fn default_authority(&self) -> Option<String> {
        let default = self.get("fs.defaultFS").or_else(|| self.get("fs.default.name"))?;
        let authority = default.strip_prefix("hdfs://")?.split('/').next()?;
        (!authority.is_empty()).then(|| authority.to_owned())
    }

    /// The RPC addresses of the NameNodes behind the authority of a URL: those of a name service, or the one that it names itself.
    ///
    /// # Errors
    /// [`Error::Config`] if a name service lacks an address.
    pub fn namenodes(&self, authority: &str) -> Result<Vec<String>> {
        let services = self.list("dfs.nameservices");
        if !services.iter().any(|service| service == authority) {
            return Ok(vec![with_port(authority)]);
        }
        let ids = self.list(&format!("dfs.ha.namenodes.{authority}"));
        let names: Vec<String> = match ids.as_slice() {
            [] => vec![format!("dfs.namenode.rpc-address.{authority}")],
            ids => ids
                .iter()
                .map(|id| format!("dfs.namenode.rpc-address.{authority}.{id}"))
                .collect(),
        };
        let address = |name: &String| self.get(name).map(|address| with_port(&address)).ok_or(name.clone());
        let addresses = names.iter().map(address).collect::<Result<Vec<_>, _>>();
        addresses.map_err(|name| Error::Config {
            problems: vec![format!("name service `{authority}`: `{name}` is not set")],
        })
    }

    fn list(&self, name: &str) -> Vec<String> {
        let value = self.get(name).unwrap_or_default();
        let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(str::to_owned).collect()
    }

    /// The authority and the path of `hdfs://authority/path`, of `hdfs:///path` or of a plain path, by the defaults of this
    /// configuration. The authority is absent if nothing names one.
    pub fn resolve(&self, url: &str) -> (Option<String>, String) {
        let Some(rest) = url.strip_prefix("hdfs://") else {
            let path = url.strip_prefix("hdfs:").unwrap_or(url);
            return (self.default_authority(), path.to_owned());
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let authority = Some(authority)
            .filter(|authority| !authority.is_empty())
            .map(str::to_owned);
        (authority.or_else(|| self.default_authority()), path.to_owned())
    }
}

fn with_port(address: &str) -> String {
    match address.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => address.to_owned(),
        _ => format!("{address}:{DEFAULT_PORT}"),
    }
}

fn unusable(path: &Path, problem: &str) -> Error {
    Error::Config {
        problems: vec![format!("Hadoop configuration {}: {problem}", path.display())],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(super) fn conf(text: &str) -> HadoopConf {
        let mut conf = HadoopConf::default();
        let properties: String = text
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .map(|(name, value)| format!("<property><name>{name}</name><value>{value}</value></property>"))
            .collect();
        conf.add(&format!("<configuration>{properties}</configuration>"))
            .unwrap();
        conf
    }

    #[test]
    fn a_name_service_becomes_its_namenodes() {
        let conf = conf(
            "fs.defaultFS=hdfs://mycluster/
             dfs.nameservices=other, mycluster
             dfs.ha.namenodes.mycluster=nn1,nn2
             dfs.namenode.rpc-address.mycluster.nn1=one.example:9000
             dfs.namenode.rpc-address.mycluster.nn2=${two}
             two=two.example
             dfs.namenode.rpc-address.other=three.example:1",
        );
        assert_eq!(conf.default_authority().as_deref(), Some("mycluster"));
        assert_eq!(
            conf.namenodes("mycluster").unwrap(),
            ["one.example:9000", "two.example:8020"]
        );
        assert_eq!(conf.namenodes("other").unwrap(), ["three.example:1"]);
        assert_eq!(conf.namenodes("host").unwrap(), ["host:8020"]);
        assert_eq!(conf.namenodes("host:7").unwrap(), ["host:7"]);
        let resolved = |url: &str| {
            let (authority, path) = conf.resolve(url);
            (authority.unwrap(), path)
        };
        assert_eq!(resolved("/a"), ("mycluster".into(), "/a".into()));
        assert_eq!(resolved("hdfs:///a"), ("mycluster".into(), "/a".into()));
        assert_eq!(resolved("hdfs://h:1/a/b"), ("h:1".into(), "/a/b".into()));
        assert_eq!(resolved("hdfs://h:1"), ("h:1".into(), "/".into()));
    }

    #[test]
    fn a_missing_address_is_named() {
        let conf = conf("dfs.nameservices=s\ndfs.ha.namenodes.s=a,b\ndfs.namenode.rpc-address.s.a=x:1");
        let error = conf.namenodes("s").unwrap_err().to_string();
        assert!(error.contains("dfs.namenode.rpc-address.s.b"), "{error}");
    }

    #[test]
    fn references_that_go_round_end() {
        let conf = conf("a=${b}\nb=${a}\nc=x${nothing}y${d}\nd=1\ne=${env.QUARRY_NOT_SET:-fallback}");
        assert!(conf.get("a").is_some());
        assert_eq!(conf.get("c").as_deref(), Some("x${nothing}y1"));
        assert_eq!(conf.get("e").as_deref(), Some("fallback"));
    }

    #[test]
    fn what_is_final_stays() {
        let mut conf = HadoopConf::default();
        conf.add(
            "<configuration><property><name>a</name><value>1</value><final>true</final></property></configuration>",
        )
        .unwrap();
        conf.add("<configuration><property><name>a</name><value>2</value></property></configuration>")
            .unwrap();
        assert_eq!(conf.get("a").as_deref(), Some("1"));
    }

    #[test]
    fn a_directory_without_files_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(HadoopConf::load(dir.path()).is_err());
        std::fs::write(dir.path().join("core-site.xml"), "<configuration/>").unwrap();
        HadoopConf::load(dir.path()).unwrap();
        std::fs::write(dir.path().join("hdfs-site.xml"), "<configuration>").unwrap();
        let error = HadoopConf::load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("hdfs-site.xml"), "{error}");
    }
}
