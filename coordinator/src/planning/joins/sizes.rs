//! How a join moves its inputs: decided by what is expected of them *after* their filters.

use datafusion::common::JoinType;
use datafusion::common::extensions_options;
use datafusion::config::ConfigExtension;
use datafusion::config::ConfigOptions;

extensions_options! {
    /// What planning knows of the cluster. Set for each attempt; not a setting.
    pub struct PlanningOptions {
        /// Workers that are live; 0 if none.
        pub workers: usize, default = 0
        /// Bytes that the build side of one join may take on one worker; 0 for any number.
        pub build_limit: usize, default = 0
        /// Whether no join is to build a hash table, if there is another way: one did not fit, or the session does not want them.
        pub always_sort: bool, default = false
    }
}

impl ConfigExtension for PlanningOptions {
    const PREFIX: &'static str = "quarry_planning";
}

/// An input of a join.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Side {
    pub(super) rows: f64,
    pub(super) bytes: f64,
}

/// What decides about a join's way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sizes {
    /// Tasks that share the work.
    tasks: f64,
    /// Bytes and rows up to which a build side may be copied to all tasks.
    broadcast_bytes: f64,
    broadcast_rows: f64,
    /// Bytes of a build side that fit on a worker.
    build_limit: Option<f64>,
    /// No build side is expected to fit.
    always_sort: bool,
}

/// A build side of so few rows is broadcast whatever the other side is.
const TINY_ROWS: f64 = 4096.0;
/// Below this part of rows that match nothing, looking each one up costs more than sending it.
const MOST: f64 = 0.75;
/// A build side above the limits of a broadcast is still copied where that moves so many times less...
const FAR_LESS: f64 = 4.0;
/// ... and up to so many times the limits: each task builds the whole table, which is work, too.
const MOST_TIMES_LIMIT: f64 = 8.0;
/// A row sent costs at least this many rows read: estimates are wrong at times, and a plan with fewer stages starts sooner.
const MARGIN: f64 = 1.5;
/// Memory of a hash table, in bytes of its rows.
const TABLE_OVERHEAD: f64 = 1.5;

impl Sizes {
    pub(super) fn of(options: &ConfigOptions) -> Self {
        let planning = options.extensions.get::<PlanningOptions>();
        let planning = planning.cloned().unwrap_or_default();
        Self {
            tasks: planning.workers.max(1) as f64,
            broadcast_bytes: options.optimizer.hash_join_single_partition_threshold as f64,
            broadcast_rows: options.optimizer.hash_join_single_partition_threshold_rows as f64,
            build_limit: (planning.build_limit > 0).then_some(planning.build_limit as f64),
            always_sort: planning.always_sort,
        }
    }

    /// Whether every task gets the whole build side. Else both sides are repartitioned by the join's keys.
    ///
    /// Not if rows of the build side can be part of the result: each task would give them.
    pub(super) fn broadcast(&self, join_type: JoinType, build: Side, probe: Side) -> bool {
        let gain = (build.bytes + probe.bytes) / (build.bytes * self.tasks);
        let times = (gain / FAR_LESS).clamp(1.0, MOST_TIMES_LIMIT);
        let small = build.bytes < self.broadcast_bytes * times && build.rows < self.broadcast_rows * times;
        can_be_copied(join_type) && small && !self.copy_exceeds_memory(build) && (build.rows < TINY_ROWS || gain >= 1.0)
    }

    /// Whether several tasks share the work.
    pub(super) fn is_shared(&self) -> bool {
        self.tasks > 1.0
    }

    /// Whether hash tables are to be avoided whatever their size.
    pub(super) fn always_sort(&self) -> bool {
        self.always_sort
    }

    /// Whether to broadcast the `keys` of a build side first, so that `saved` of the `probe` side's rows need not be sent, at the price of
    /// reading the build side's table of `read` rows once more.
    pub(super) fn prefilter(&self, keys: Side, read: f64, probe: f64, saved: f64) -> bool {
        let small = keys.bytes < self.broadcast_bytes && keys.rows < self.broadcast_rows;
        let cost = read + keys.rows * self.tasks;
        self.tasks > 1.0 && small && saved > probe * MOST && saved > cost * MARGIN
    }

    /// Whether a semi join that gives rows of its build side gets copies of them, numbered, in each task. Else both sides are repartitioned.
    /// `matching` is the part of the probe side's rows that is expected to match: each of them gives a row.
    pub(super) fn copies_of_numbered(&self, build: Side, probe: Side, matching: f64) -> bool {
        let far_less = build.bytes + probe.bytes >= build.bytes * self.tasks * FAR_LESS;
        let pays = far_less && matching < 1.0 - MOST && self.broadcast(JoinType::Inner, build, probe);
        self.is_shared() && pays && !self.exceeds_memory(build)
    }

    /// Whether a hash table of the build side would not fit, spread over all tasks.
    pub(super) fn exceeds_memory(&self, build: Side) -> bool {
        self.always_sort || self.exceeds_limit(build.bytes / self.tasks)
    }

    /// Whether a hash table of the whole build side would not fit, which every task has if it is copied.
    pub(super) fn copy_exceeds_memory(&self, build: Side) -> bool {
        self.exceeds_limit(build.bytes)
    }

    fn exceeds_limit(&self, bytes: f64) -> bool {
        self.build_limit.is_some_and(|limit| bytes * TABLE_OVERHEAD > limit)
    }
}

/// Whether each task may have the whole build side: none of its rows is part of the result by itself.
pub(super) fn can_be_copied(join_type: JoinType) -> bool {
    matches!(
        join_type,
        JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(rows: f64) -> Side {
        Side {
            rows,
            bytes: rows * 16.0,
        }
    }

    fn sizes(workers: usize, build_limit: usize) -> Sizes {
        let mut options = ConfigOptions::new();
        options.optimizer.hash_join_single_partition_threshold = 32 << 20;
        options.optimizer.hash_join_single_partition_threshold_rows = 2 << 20;
        options.extensions.insert(PlanningOptions {
            workers,
            build_limit,
            always_sort: false,
        });
        Sizes::of(&options)
    }

    #[test]
    fn copies_to_all_tasks_must_cost_less_than_moving_both_sides() {
        let three = sizes(3, 0);
        assert!(three.broadcast(JoinType::Inner, side(1e5), side(1e6)));
        assert!(!three.broadcast(JoinType::Inner, side(1e5), side(1.5e5)));
        assert!(sizes(1, 0).broadcast(JoinType::Inner, side(1e5), side(1.5e5)));
        assert!(three.broadcast(JoinType::RightSemi, side(10.0), side(1.0)));
    }

    #[test]
    fn a_large_build_side_is_copied_where_the_other_is_far_larger() {
        let three = sizes(3, 0);
        assert!(three.broadcast(JoinType::Inner, side(3e6), side(1e9)));
        assert!(!three.broadcast(JoinType::Inner, side(3e6), side(2e7)));
        assert!(
            !three.broadcast(JoinType::Inner, side(2e7), side(1e12)),
            "too large to be built by each task"
        );
    }

    #[test]
    fn a_build_side_that_is_part_of_the_result_is_not_copied() {
        for join_type in [JoinType::LeftSemi, JoinType::LeftAnti, JoinType::Left, JoinType::Full] {
            assert!(!sizes(3, 0).broadcast(join_type, side(10.0), side(1e6)), "{join_type}");
        }
    }

    #[test]
    fn keys_go_first_where_that_saves_more_than_it_costs() {
        let three = sizes(3, 0);
        assert!(three.prefilter(side(5e4), 1.5e6, 3.8e6, 3.6e6));
        assert!(
            !three.prefilter(side(5e4), 5e6, 3.8e6, 3.6e6),
            "reading twice costs more"
        );
        assert!(!three.prefilter(side(5e4), 1.5e5, 3.8e6, 1e6), "most rows match");
        assert!(!three.prefilter(side(3e6), 3e6, 1e9, 0.99e9), "too many keys");
        assert!(!sizes(1, 0).prefilter(side(5e4), 1e5, 3.8e6, 3.6e6), "nothing is sent");
    }

    #[test]
    fn numbered_rows_are_copied_where_few_rows_of_a_far_larger_side_match() {
        let three = sizes(3, 0);
        assert!(three.copies_of_numbered(side(5e4), side(3.8e6), 0.04));
        assert!(
            !three.copies_of_numbered(side(5e4), side(3.8e6), 0.5),
            "each match is a row to be sent"
        );
        assert!(
            !three.copies_of_numbered(side(5e4), side(4e5), 0.04),
            "moving both sides is little more"
        );
        assert!(
            !three.copies_of_numbered(side(3e7), side(1e9), 0.01),
            "too large to be copied"
        );
        assert!(
            !sizes(1, 0).copies_of_numbered(side(5e4), side(3.8e6), 0.04),
            "nothing is sent"
        );
        assert!(
            !sizes(3, 1 << 10).copies_of_numbered(side(5e4), side(3.8e6), 0.04),
            "it would not fit"
        );
    }

    #[test]
    fn what_does_not_fit_is_sorted() {
        assert!(!sizes(3, 0).exceeds_memory(side(1e12)), "no limit is known");
        assert!(sizes(1, 1 << 20).exceeds_memory(side(1e5)));
        assert!(
            !sizes(4, 1 << 20).exceeds_memory(side(1e5)),
            "spread over four workers it fits"
        );
        let tiny = sizes(4, 1 << 20);
        assert!(tiny.copy_exceeds_memory(side(1e5)));
        assert!(
            !tiny.broadcast(JoinType::Inner, side(1e5), side(1e9)),
            "a copy for each would not"
        );
    }
}
