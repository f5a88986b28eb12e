//! Under what conditions a run took place: a time means nothing without them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde::Serialize;

use crate::table::Table;

/// The workspace's lock file, which names the versions that were built in.
const LOCK: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock"));
/// Packages whose versions matter to the times.
const PACKAGES: [&str; 7] = [
    "arrow",
    "crc32c",
    "datafusion",
    "datafusion-distributed",
    "object_store",
    "parquet",
    "tokio",
];

/// Conditions of any benchmark; its own parameters come on top.
#[derive(Debug, Clone, Serialize)]
pub struct Conditions {
    /// Day of the run, in UTC.
    pub date: String,
    /// Commit of the work tree that the benchmark was built from, with `+` if files differ from it; absent without Git.
    pub commit: Option<String>,
    /// Name of the processor.
    pub cpu: String,
    /// Threads that the machine runs at a time.
    pub cores: usize,
    /// Memory of the machine, in bytes; 0 if unknown.
    pub memory_bytes: u64,
    /// Operating system and kernel.
    pub os: String,
    /// Runnable threads on average over the minute before the run: the work of others.
    pub load_before: Option<f64>,
    /// Cargo's profile and its optimization level.
    pub profile: String,
    /// The compiler.
    pub compiler: String,
    /// Versions of the packages that do the work.
    pub versions: BTreeMap<&'static str, String>,
}

impl Conditions {
    /// As they are now: to be called before the benchmark itself loads the machine.
    pub fn now() -> Self {
        Self {
            date: chrono::Utc::now().format("%Y-%m-%d").to_string(),
            commit: commit(),
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: cores(),
            memory_bytes: memory(),
            os: os(),
            load_before: load(),
            profile: format!("{}, opt-level {}", env!("BENCH_PROFILE"), env!("BENCH_OPT_LEVEL")),
            compiler: env!("BENCH_COMPILER").into(),
            versions: PACKAGES
                .into_iter()
                .filter_map(|name| Some((name, locked(LOCK, name)?)))
                .collect(),
        }
    }

    /// Adds a row per condition to a table of two columns.
    pub fn describe(&self, table: &mut Table) {
        let versions: Vec<_> = self
            .versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let load = self
            .load_before
            .map_or_else(|| "unknown".into(), |load| format!("{load:.2}"));
        let memory = self.memory_bytes as f64 / f64::from(1 << 30);
        let rows = [
            ("date", self.date.clone()),
            ("commit", self.commit.clone().unwrap_or_else(|| "unknown".into())),
            ("processor", format!("{}, {} threads", self.cpu, self.cores)),
            ("memory", format!("{memory:.1} GiB")),
            ("operating system", self.os.clone()),
            ("load before the run", load),
            ("build", format!("{}, {}", self.profile, self.compiler)),
            ("versions", versions.join(", ")),
        ];
        for (name, value) in rows {
            table.row([name.into(), value]);
        }
    }
}

/// Threads that the machine runs at a time.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn commit() -> Option<String> {
    let hash = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() { hash } else { format!("{hash}+") })
}

fn git(args: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    let output = command
        .arg("-C")
        .arg(env!("CARGO_MANIFEST_DIR"))
        .args(args)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn os() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = fs::read_to_string("/etc/os-release").ok();
    let name = name.as_deref().and_then(pretty_name).unwrap_or(std::env::consts::OS);
    format!("{name}, kernel {}", kernel.trim())
}

fn pretty_name(release: &str) -> Option<&str> {
    let line = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"'))
}

fn memory() -> u64 {
    let text = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kibibytes: u64 = text.trim_end_matches(" kB").parse().unwrap_or_default();
    kibibytes << 10
}

fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg")
        .ok()?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

/// The value of the first line `name : value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.find(|(found, _)| found.trim() == name)?;
    Some(value.trim().to_owned())
}

/// The version that a lock file gives a package.
fn locked(lock: &str, package: &str) -> Option<String> {
    let begin = format!("name = \"{package}\"\nversion = \"");
    let (_, rest) = lock.split_once(&begin)?;
    Some(rest.split_once('"')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_package_is_in_the_lock_file() {
        for package in PACKAGES {
            assert!(locked(LOCK, package).is_some(), "{package}");
        }
        assert_eq!(locked(LOCK, "arro"), None);
    }

    #[test]
    fn the_machine_is_described() {
        let conditions = Conditions::now();
        assert!(conditions.cores > 0);
        assert!(conditions.memory_bytes > 1 << 28, "{}", conditions.memory_bytes);
        assert!(conditions.compiler.starts_with("rustc"), "{}", conditions.compiler);
    }

    #[test]
    fn names_of_systems_come_without_quotes() {
        assert_eq!(pretty_name("ID=x\nPRETTY_NAME=\"X 1 (y)\"\n"), Some("X 1 (y)"));
        assert_eq!(pretty_name("ID=x\n"), None);
    }
}
