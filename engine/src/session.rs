//! The session set-up that coordinator and worker share: options, runtime environment, and what of a user's session travels.

use std::num::NonZeroUsize;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::extensions_options;
use datafusion::config::{ConfigExtension, ConfigNonZeroUsize, ConfigOptions};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryLimit, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SessionConfig;
use url::form_urlencoded;

use crate::files::{FileSystems, HdfsOnly};
use crate::pool::ExplainingPool;

/// Fewest partitions of a plan. With one partition there is no exchange where a plan could be cut, and tasks on several
/// workers would each take their part of the rows for all of them.
pub const MIN_PARTITIONS: usize = 2;

/// Limits of a process that runs queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// Bytes that the operators of all queries may reserve together.
    pub memory_limit: u64,
    /// The configuration key of that limit, for whoever meets it.
    pub memory_knob: &'static str,
    /// Directory for spilled data. Made if missing; what dead processes left in it is removed.
    pub spill_dir: PathBuf,
    /// Bytes that may be spilled at a time.
    pub spill_limit: u64,
}

/// Footers and other metadata of files kept per process, in bytes.
const METADATA_CACHE_BYTES: usize = 128 * 1024 * 1024;
/// How many of the largest memory consumers an exhausted pool names.
pub(crate) const NAMED_CONSUMERS: NonZeroUsize = NonZeroUsize::new(5).expect("five is not zero");

/// Makes a process's runtime environment: one fair memory pool, a private spill directory with a quota, and object stores for
/// `hdfs://` only.
///
/// # Errors
/// If the spill directory cannot be made.
pub fn runtime_env(options: &RuntimeOptions, files: &Arc<FileSystems>) -> Result<Arc<RuntimeEnv>> {
    let limit = usize::try_from(options.memory_limit).unwrap_or(usize::MAX);
    let pool = TrackConsumersPool::new(FairSpillPool::new(limit), NAMED_CONSUMERS);
    let pool = ExplainingPool::new(pool, options.memory_knob);
    let spill = private_spill_dir(&options.spill_dir)?;
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![spill]))
        .with_max_temp_directory_size(options.spill_limit);
    let disk = match merge_fan_in(options.memory_limit) {
        Some(runs) => disk.with_max_spill_merge_fan_in(runs),
        None => disk,
    };
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .with_metadata_cache_limit(METADATA_CACHE_BYTES)
        .with_object_store_registry(Arc::new(HdfsOnly(Arc::clone(files))))
        .build_arc()
}

/// Spilled runs that a sort in a small pool merges at a time. In others it is as many as find memory; in a small one the first sort would leave
/// none for the next.
fn merge_fan_in(memory_limit: u64) -> Option<usize> {
    let runs = usize::try_from(memory_limit / BYTES_PER_MERGED_RUN).unwrap_or(usize::MAX);
    (memory_limit < SMALL_POOL_BYTES).then(|| runs.max(LEAST_FAN_IN))
}

/// Pools below this are small.
const SMALL_POOL_BYTES: u64 = 256 << 20;
/// Memory of a small pool for each run that a sort merges at a time.
const BYTES_PER_MERGED_RUN: u64 = 1 << 20;
/// Fewest runs merged at a time: with fewer, most of the work is reading and writing again.
const LEAST_FAN_IN: usize = 4;

/// Makes `base/<pid>-<random>`, readable by this user only, and removes those of processes that are gone.
fn private_spill_dir(base: &Path) -> Result<PathBuf> {
    let failed = |path: &Path, error: std::io::Error| {
        DataFusionError::Configuration(format!("spill directory {}: {error}", path.display()))
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o700).recursive(true);
    builder.create(base).map_err(|error| failed(base, error))?;
    remove_dead(base);
    let own = base.join(format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple()));
    builder.create(&own).map_err(|error| failed(&own, error))?;
    Ok(own)
}

fn remove_dead(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.split_once('-'))
            .and_then(|(pid, _)| pid.parse::<u32>().ok());
        if let Some(pid) = pid
            && !Path::new("/proc").join(pid.to_string()).exists()
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "cannot remove spilled data of a dead process");
        }
    }
}

/// Share of the pool that one sort sets aside for merging what it spilled.
const MERGE_SHARE: usize = 32;
/// Memory of a process for each row of a batch: an operator holds some batches at least, and a plan has some tens of operators.
const BYTES_PER_BATCH_ROW: usize = 32 << 10;
/// Rows of the smallest batches: below that, what a batch costs by itself is most of the work.
const LEAST_BATCH_ROWS: usize = 64;

/// Keeps what operators set aside, and the batches that they hold, within a small pool: else a sort would be refused before its first
/// row. Only makes smaller what is there.
pub fn fit_to_memory(options: &mut ConfigOptions, runtime: &RuntimeEnv) {
    if let MemoryLimit::Finite(limit) = runtime.memory_pool.memory_limit() {
        let reservation = &mut options.execution.sort_spill_reservation_bytes;
        *reservation = (*reservation).min(limit / MERGE_SHARE);
        let most = (limit / BYTES_PER_BATCH_ROW).max(LEAST_BATCH_ROWS);
        if options.execution.batch_size.get() > most {
            options.execution.batch_size = ConfigNonZeroUsize::try_new(most).expect("the least is not zero");
        }
    }
}

/// A session's options for plans of `partitions` partitions per task.
#[must_use]
pub fn session_config(partitions: usize) -> SessionConfig {
    let mut config = SessionConfig::new().with_target_partitions(partitions.max(MIN_PARTITIONS));
    apply_engine_options(config.options_mut());
    config
}

/// Sets the options that every plan of this engine assumes, on whichever side.
pub fn apply_engine_options(options: &mut ConfigOptions) {
    // Scans are cut along blocks already; cutting them again would tear splits from their nodes.
    options.optimizer.repartition_file_scans = false;
    // Broadcasting a build side of this size costs less than shuffling both sides (measured on TPC-H SF1 and SF10).
    options.optimizer.hash_join_single_partition_threshold = 32 * 1024 * 1024;
    options.optimizer.hash_join_single_partition_threshold_rows = 2 * 1024 * 1024;
    // Keys of one partition of a repartitioned build side are sparse though all of them are dense. An array of 4 bytes for each possible key spares
    // hashing and comparing (a fifth of TPC-H Q16 at SF10); at this density it takes 80 bytes for each key, some three times a hash table.
    options.execution.perfect_hash_join_min_key_density = 0.05;
    // Views are rebuilt at each exchange; plain strings cross it as they are (measured).
    options.execution.parquet.schema_force_view_types = false;
    // A file queue shared by a scan's partitions is emptied by the first execution, and splits are balanced already.
    options.execution.enable_file_stream_work_stealing = false;
    options.execution.collect_statistics = true;
}

/// Some 8 million numbers: far above what statements do with lists, far below what hurts a process.
pub const DEFAULT_VALUE_BYTES: u64 = 64 << 20;
/// A billion: some ten seconds of one core.
pub const DEFAULT_SERIES_ROWS: u64 = 1_000_000_000;

extensions_options! {
    /// What of a user's session travels to the workers with each task.
    pub struct QuarryOptions {
        /// Options under `datafusion.execution` that differ from their defaults, URL-encoded.
        pub execution: String, default = String::new()
        /// Id of the query that the task belongs to.
        pub query: String, default = String::new()
        /// Bytes that one call of a function such as `repeat` or `range` may make.
        pub value_bytes: u64, default = DEFAULT_VALUE_BYTES
        /// Rows of `generate_series` and `range` in FROM.
        pub series_rows: u64, default = DEFAULT_SERIES_ROWS
    }
}

impl ConfigExtension for QuarryOptions {
    const PREFIX: &'static str = "quarry";
}

/// Options that mean something only where the plan is made, or that a worker decides by itself.
const STAYS: [&str; 2] = [
    "datafusion.execution.target_partitions",
    "datafusion.execution.planning_concurrency",
];

/// Packs the execution options of a session that differ from DataFusion's defaults.
#[must_use]
pub fn pack_execution_options(options: &ConfigOptions) -> String {
    let defaults = ConfigOptions::new();
    let mut packed = form_urlencoded::Serializer::new(String::new());
    let entries = options.entries().into_iter().zip(defaults.entries());
    for (own, default) in entries {
        let travels = own.key.starts_with("datafusion.execution.") && !STAYS.contains(&own.key.as_str());
        if travels && own.value != default.value {
            packed.append_pair(&own.key, own.value.as_deref().unwrap_or_default());
        }
    }
    packed.finish()
}

/// Sets the options that [`pack_execution_options`] packed.
///
/// # Errors
/// If an option is unknown here: the other side runs another version.
pub fn unpack_execution_options(packed: &str, options: &mut ConfigOptions) -> Result<()> {
    for (key, value) in form_urlencoded::parse(packed.as_bytes()) {
        options.set(&key, &value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_plan_never_has_a_single_partition() {
        assert_eq!(session_config(1).target_partitions(), MIN_PARTITIONS);
        assert_eq!(session_config(7).target_partitions(), 7);
    }

    #[test]
    fn a_small_pool_has_small_batches_and_reservations() {
        let fitted = |limit: usize, batch: usize| {
            let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(limit)));
            let mut options = ConfigOptions::new();
            options.execution.batch_size = ConfigNonZeroUsize::try_new(batch).unwrap();
            fit_to_memory(&mut options, &runtime.build().unwrap());
            (
                options.execution.batch_size.get(),
                options.execution.sort_spill_reservation_bytes,
            )
        };
        assert_eq!(fitted(1 << 30, 8192), (8192, 10 << 20));
        assert_eq!(fitted(8 << 20, 8192), (256, 256 << 10));
        assert_eq!(fitted(8 << 20, 7), (7, 256 << 10), "what is smaller stays");
        assert_eq!(fitted(1, 8192), (LEAST_BATCH_ROWS, 0));
    }

    #[test]
    fn changed_execution_options_travel() {
        let mut config = session_config(4);
        config
            .options_mut()
            .set("datafusion.execution.batch_size", "17")
            .unwrap();
        config
            .options_mut()
            .set("datafusion.execution.time_zone", "+01:00")
            .unwrap();
        let packed = pack_execution_options(config.options());
        assert!(packed.is_ascii());
        let mut other = ConfigOptions::new();
        unpack_execution_options(&packed, &mut other).unwrap();
        assert_eq!(other.execution.batch_size, config.options().execution.batch_size);
        assert_eq!(other.execution.time_zone.as_deref(), Some("+01:00"));
        assert!(!other.execution.enable_file_stream_work_stealing);
        assert_eq!(
            other.execution.target_partitions,
            ConfigOptions::new().execution.target_partitions
        );
    }

    #[test]
    fn spill_directories_are_private_and_those_of_the_dead_are_removed() {
        let base = tempfile::tempdir().unwrap();
        // No process has this id: it is above Linux's largest.
        let dead = base.path().join("4294967295-x");
        std::fs::create_dir(&dead).unwrap();
        let own = private_spill_dir(base.path()).unwrap();
        let second = private_spill_dir(base.path()).unwrap();
        assert!(!dead.exists());
        assert!(own.exists() && second.exists());
        assert_eq!(std::fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
