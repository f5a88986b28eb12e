//! What of a Hadoop configuration means something to this client.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;

use super::HadoopConf;
use crate::config::{DfsClientConfig, checksum_named};
use crate::error::{Error, Result};
use crate::write::ReplaceDataNode;

impl HadoopConf {
    /// A client of the name service or `host:port` in `authority`, or of `fs.defaultFS`, with the settings of this configuration.
    ///
    /// # Errors
    /// [`Error::Config`] if no NameNode is named, or a setting makes no sense.
    pub fn client_config(&self, authority: Option<&str>) -> Result<DfsClientConfig> {
        let authority = authority.map(str::to_owned).or_else(|| self.default_authority());
        let authority = authority.ok_or_else(|| Error::Config {
            problems: vec!["no NameNode is named: neither by the URL nor by `fs.defaultFS`".to_owned()],
        })?;
        let mut config = DfsClientConfig::new(self.namenodes(&authority)?.join(","));
        self.apply(&mut config)?;
        config.validate()?;
        Ok(config)
    }

    /// Takes over the settings that this configuration has.
    ///
    /// # Errors
    /// [`Error::Config`] for values that make no sense.
    pub fn apply(&self, config: &mut DfsClientConfig) -> Result<()> {
        if let Some(size) = self.parsed("dfs.blocksize", parse_size)? {
            config.block_size = Some(ByteSize::b(size));
        }
        if let Some(replication) = self.parsed("dfs.replication", |text| text.parse().ok())? {
            config.replication = Some(replication);
        }
        self.replace("dfs.checksum.type", checksum_named, &mut config.checksum_type)?;
        let number = |text: &str| parse_size(text).and_then(|size| u32::try_from(size).ok());
        self.replace("dfs.bytes-per-checksum", number, &mut config.bytes_per_checksum)?;
        let packet = |text: &str| parse_size(text).map(ByteSize::b);
        self.replace("dfs.client-write-packet-size", packet, &mut config.write_packet_size)?;
        self.replace("ipc.client.connect.timeout", parse_millis, &mut config.connect_timeout)?;
        if let Some(timeout) = self.parsed("dfs.client.socket-timeout", parse_millis)? {
            config.datanode_timeout = timeout;
            config.pipeline_timeout = timeout;
        }
        self.apply_local_reads(config)?;
        self.apply_hedged_reads(config)?;
        self.apply_replacement(config)
    }

    /// Reads past the DataNode on this machine. As in HDFS the socket alone means nothing: they are switched on by themselves.
    fn apply_local_reads(&self, config: &mut DfsClientConfig) -> Result<()> {
        const SWITCH: &str = "dfs.client.read.shortcircuit";
        match self.parsed(SWITCH, parse_bool)? {
            Some(true) => {
                let path = self.parsed("dfs.domain.socket.path", |text| Some(PathBuf::from(text)))?;
                config.domain_socket = Some(path.ok_or_else(|| Error::Config {
                    problems: vec![format!("`{SWITCH}` is true but `dfs.domain.socket.path` is not set")],
                })?);
            }
            Some(false) => config.domain_socket = None,
            None => {}
        }
        let skip = self.parsed(&format!("{SWITCH}.skip.checksum"), parse_bool)?;
        config.verify_local_reads = skip.map_or(config.verify_local_reads, |skip| !skip);
        Ok(())
    }

    /// A second DataNode for reads that take long. No threads, or fewer: none.
    fn apply_hedged_reads(&self, config: &mut DfsClientConfig) -> Result<()> {
        let pool = |text: &str| text.trim().parse::<i32>().ok().map(|size| size.max(0) as usize);
        self.replace(
            "dfs.client.hedged.read.threadpool.size",
            pool,
            &mut config.hedged_read_pool,
        )?;
        self.replace(
            "dfs.client.hedged.read.threshold.millis",
            parse_time,
            &mut config.hedged_read_threshold,
        )
    }

    /// What to do when a write pipeline has lost a DataNode. HDFS has a switch and a policy for it.
    fn apply_replacement(&self, config: &mut DfsClientConfig) -> Result<()> {
        const PREFIX: &str = "dfs.client.block.write.replace-datanode-on-failure";
        let policy = |text: &str| match text.to_ascii_uppercase().as_str() {
            "DEFAULT" => Some(ReplaceDataNode::Default),
            "ALWAYS" => Some(ReplaceDataNode::Always),
            "NEVER" => Some(ReplaceDataNode::Never),
            _ => None,
        };
        self.replace(&format!("{PREFIX}.policy"), policy, &mut config.replace_datanode)?;
        self.replace(
            &format!("{PREFIX}.best-effort"),
            parse_bool,
            &mut config.replace_best_effort,
        )?;
        if self.parsed(&format!("{PREFIX}.enable"), parse_bool)? == Some(false) {
            config.replace_datanode = ReplaceDataNode::Never;
        }
        Ok(())
    }

    fn replace<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>, setting: &mut T) -> Result<()> {
        if let Some(value) = self.parsed(name, parse)? {
            *setting = value;
        }
        Ok(())
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let value = parse(&text).ok_or_else(|| Error::Config {
            problems: vec![format!("`{name}` is `{text}`, which makes no sense there")],
        })?;
        Ok(Some(value))
    }
}

/// Bytes, with HDFS's binary suffixes: `128m`.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (number, shift) = match text.char_indices().last()? {
        (at, 'k') => (&text[..at], 10),
        (at, 'm') => (&text[..at], 20),
        (at, 'g') => (&text[..at], 30),
        (at, 't') => (&text[..at], 40),
        (at, 'p') => (&text[..at], 50),
        _ => (text.as_str(), 0),
    };
    number.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A timeout: HDFS's 0 is "for ever", which nothing here waits.
fn parse_millis(text: &str) -> Option<Duration> {
    parse_time(text).filter(|time| !time.is_zero())
}

/// A time in milliseconds unless it says otherwise: `60000`, `60s`, `1m`.
fn parse_time(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let millis = match &text[digits..] {
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use quarry_dfs_wire::checksum::ChecksumType;

    use super::super::tests::conf;
    use super::*;

    #[test]
    fn settings_are_taken_over() {
        let conf = conf(
            "fs.defaultFS=hdfs://s
             dfs.nameservices=s
             dfs.ha.namenodes.s=a,b
             dfs.namenode.rpc-address.s.a=x:1
             dfs.namenode.rpc-address.s.b=y:2
             dfs.blocksize=64m
             dfs.replication=2
             dfs.checksum.type=CRC32
             dfs.bytes-per-checksum=1024
             dfs.client.socket-timeout=20s
             dfs.client.block.write.replace-datanode-on-failure.best-effort=false
             dfs.client.block.write.replace-datanode-on-failure.policy=ALWAYS",
        );
        let config = conf.client_config(None).unwrap();
        assert_eq!(config.namenode, "x:1,y:2");
        assert_eq!(config.block_size, Some(ByteSize::mib(64)));
        assert_eq!(config.replication, Some(2));
        assert_eq!(
            (config.checksum_type, config.bytes_per_checksum),
            (ChecksumType::Crc32, 1024)
        );
        assert_eq!(config.pipeline_timeout, Duration::from_secs(20));
        assert!(!config.replace_best_effort);
        assert_eq!(config.replace_datanode, ReplaceDataNode::Always);
        assert_eq!(conf.client_config(Some("h:7")).unwrap().namenode, "h:7");
    }

    #[test]
    fn local_reads_need_their_switch_and_their_socket() {
        let taken = |text: &str| {
            let mut config = DfsClientConfig::default();
            conf(text).apply(&mut config).map(|()| config)
        };
        let socket = "dfs.domain.socket.path=/run/dn._PORT\n";
        assert_eq!(taken(socket).unwrap(), DfsClientConfig::default(), "not switched on");
        let on = taken(&format!("{socket}dfs.client.read.shortcircuit=true")).unwrap();
        assert_eq!(on.domain_socket, Some("/run/dn._PORT".into()));
        assert!(on.verify_local_reads);
        let unchecked = "dfs.client.read.shortcircuit.skip.checksum";
        assert!(!taken(&format!("{unchecked}=true")).unwrap().verify_local_reads);
        assert!(taken(&format!("{unchecked}=false")).unwrap().verify_local_reads);
        let error = taken("dfs.client.read.shortcircuit=true").unwrap_err();
        assert!(error.to_string().contains("dfs.domain.socket.path"), "{error}");
        assert!(taken("dfs.client.read.shortcircuit=maybe").is_err());
        // Switched off, whatever was configured elsewhere.
        let mut config = on;
        conf("dfs.client.read.shortcircuit=false").apply(&mut config).unwrap();
        assert_eq!(config.domain_socket, None);
    }

    #[test]
    fn slow_reads_get_a_second_datanode_if_there_are_threads_for_it() {
        let mut config = DfsClientConfig::default();
        conf("dfs.client.hedged.read.threadpool.size=20\ndfs.client.hedged.read.threshold.millis=10")
            .apply(&mut config)
            .unwrap();
        assert_eq!(
            (config.hedged_read_pool, config.hedged_read_threshold),
            (20, Duration::from_millis(10))
        );
        conf("dfs.client.hedged.read.threadpool.size=-1\ndfs.client.hedged.read.threshold.millis=0")
            .apply(&mut config)
            .unwrap();
        assert_eq!(
            (config.hedged_read_pool, config.hedged_read_threshold),
            (0, Duration::ZERO)
        );
        let error = conf("dfs.client.hedged.read.threadpool.size=many").apply(&mut config);
        assert!(error.unwrap_err().to_string().contains("threadpool.size"));
    }

    #[test]
    fn nonsense_is_named() {
        let error = conf("fs.defaultFS=hdfs://h:1\ndfs.blocksize=lots")
            .client_config(None)
            .unwrap_err();
        assert!(error.to_string().contains("dfs.blocksize"), "{error}");
        assert!(conf("a=b").client_config(None).is_err(), "no NameNode");
    }

    #[test]
    fn sizes_and_times_have_hadoop_s_suffixes() {
        assert_eq!(parse_size("128m"), Some(128 << 20));
        assert_eq!(parse_size("1K"), Some(1024));
        assert_eq!(parse_size("m"), None);
        assert_eq!(parse_size("99999999999p"), None);
        assert_eq!(parse_millis("250"), Some(Duration::from_millis(250)));
        assert_eq!(parse_millis("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse_millis("0"), None);
        assert_eq!(parse_time("0"), Some(Duration::ZERO));
    }
}
