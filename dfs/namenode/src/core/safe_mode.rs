//! Safe mode: after a start nothing is changed until enough blocks are reported, so that a missing DataNode is not taken for lost data.
//! Nor is anything changed while an operator says so, or while the disk of the log is nearly full.
//!
//! The last is a matter of its own, beside the others: it begins and ends with the room on the disk. HDFS forgets with it that an operator
//! had turned safe mode on, or that blocks were being waited for; here both go on when there is room again.

use super::Core;
use super::command::{Caller, Reply, SafeModeAction};
use super::error::FsError;
use super::state::State;

/// Why the NameNode is in safe mode, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    /// Waiting for reports.
    Startup {
        /// Tick at which the threshold was reached.
        reached_tick_ms: Option<u64>,
    },
    /// An operator said so.
    Manual,
    Off,
}

/// Counts reported blocks until there are enough.
#[derive(Debug)]
pub struct SafeMode {
    mode: Mode,
    /// The disk had too little room when it was looked at last, and nobody has turned safe mode off since.
    low_space: bool,
    /// Blocks of final length at the start.
    total: usize,
    /// Those of them with a good replica by now.
    reported: usize,
}

impl SafeMode {
    /// The mode for a NameNode that starts with this state: off if there is nothing to wait for.
    pub fn at_start(state: &State) -> Self {
        let total = state.blocks.iter().filter(|block| block.is_committed()).count();
        let mode = if total == 0 {
            Mode::Off
        } else {
            Mode::Startup { reached_tick_ms: None }
        };
        Self {
            mode,
            low_space: false,
            total,
            reported: 0,
        }
    }

    /// Whether changes are refused.
    pub fn is_on(&self) -> bool {
        self.mode != Mode::Off || self.low_space
    }

    /// Whether it is on because reports are missing.
    pub fn is_startup(&self) -> bool {
        matches!(self.mode, Mode::Startup { .. })
    }

    /// A block got its first good replica.
    pub fn block_found(&mut self) {
        self.reported += 1;
    }

    /// A block lost its last good replica.
    pub fn block_lost(&mut self) {
        self.reported = self.reported.saturating_sub(1);
    }

    /// A block that counted is gone.
    pub fn block_removed(&mut self, had_replica: bool) {
        self.total = self.total.saturating_sub(1);
        self.reported = self.reported.saturating_sub(usize::from(had_replica));
    }

    /// A block of final length exists from now on.
    pub fn block_added(&mut self) {
        self.total += 1;
    }

    /// Rounded down like HDFS, so that one lost block does not hold up a small cluster; but no DataNode at all is not enough.
    fn reached(&self, threshold: f64) -> bool {
        let needed = (self.total as f64 * threshold).floor().max(1.0);
        self.total == 0 || self.reported as f64 >= needed
    }

    fn check(&mut self, tick_ms: u64, threshold: f64, extension_ms: u64) {
        let Mode::Startup { reached_tick_ms } = self.mode else {
            return;
        };
        if !self.reached(threshold) {
            self.mode = Mode::Startup { reached_tick_ms: None };
            return;
        }
        let since = reached_tick_ms.unwrap_or(tick_ms);
        let done = self.reported >= self.total || tick_ms >= since + extension_ms;
        self.mode = if done {
            Mode::Off
        } else {
            Mode::Startup {
                reached_tick_ms: Some(since),
            }
        };
    }

    pub(crate) fn describe(&self) -> String {
        if self.low_space {
            // HDFS 3.5's words, to the last space.
            return "Resources are low on NN. Please add or free up more resources. NOTE:  If you turn off safe mode before adding \
                    resources, the NN will immediately return to safe mode. "
                .to_owned();
        }
        match self.mode {
            Mode::Startup { .. } => format!(
                "The reported blocks {} of {} have not reached the threshold or the DataNodes are still reporting. \
                 Safe mode will be turned off automatically once they have.",
                self.reported, self.total
            ),
            Mode::Manual => {
                "It was turned on manually. Use \"hdfs dfsadmin -safemode leave\" to turn safe mode off.".to_owned()
            }
            Mode::Off => String::new(),
        }
    }
}

impl Core {
    /// Refuses a change in safe mode; `what` begins the message.
    pub(crate) fn check_writable(&self, what: impl FnOnce() -> String) -> Result<(), FsError> {
        if !self.safe_mode.is_on() {
            return Ok(());
        }
        // Two lines, as HDFS has them: shells show the first.
        let text = format!("{}. Name node is in safe mode.\n{}", what(), self.safe_mode.describe());
        // At start-up the client should simply try again; what waits for an operator has no end in sight.
        Err(if self.safe_mode.is_startup() && !self.safe_mode.low_space {
            FsError::Retriable(text)
        } else {
            FsError::SafeMode(text)
        })
    }

    /// Leaves safe mode when enough is reported.
    pub(crate) fn check_safe_mode(&mut self) {
        let was_on = self.safe_mode.is_on();
        self.safe_mode.check(
            self.now.tick_ms,
            self.settings.safe_mode_threshold,
            self.settings.safe_mode_extension_ms,
        );
        if was_on && !self.safe_mode.is_on() {
            self.queue_all_blocks();
        }
    }

    /// The disk of the log was looked at: too little room keeps safe mode on until there is some again.
    pub(crate) fn see_disk_space(&mut self, low: bool) {
        let was_on = self.safe_mode.is_on();
        self.safe_mode.low_space = low;
        if was_on && !self.safe_mode.is_on() {
            self.queue_all_blocks();
        }
    }

    /// Asks for or changes safe mode; the answer is whether it is on.
    pub(crate) fn set_safe_mode(&mut self, caller: &Caller, action: SafeModeAction) -> Result<Reply, FsError> {
        match action {
            SafeModeAction::Get => {}
            SafeModeAction::Enter => {
                self.check_superuser_for(caller, "safemode_enter")?;
                self.safe_mode.mode = Mode::Manual;
            }
            SafeModeAction::Leave | SafeModeAction::ForceExit => {
                self.check_superuser_for(caller, "safemode_leave")?;
                let was_on = self.safe_mode.is_on();
                // With too little room on the disk it is back after the next look at it.
                (self.safe_mode.mode, self.safe_mode.low_space) = (Mode::Off, false);
                if was_on {
                    self.queue_all_blocks();
                }
            }
        }
        Ok(Reply::Bool(self.safe_mode.is_on()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(total: usize) -> SafeMode {
        SafeMode {
            mode: Mode::Startup { reached_tick_ms: None },
            low_space: false,
            total,
            reported: 0,
        }
    }

    #[test]
    fn ends_at_once_when_everything_is_reported_and_late_when_something_is_missing() {
        let mut mode = waiting(2000);
        mode.reported = 1997;
        mode.check(0, 0.999, 3000);
        assert!(mode.is_on());
        mode.block_found();
        mode.check(10, 0.999, 3000);
        mode.check(3009, 0.999, 3000);
        assert!(mode.is_on(), "the extension has not passed");
        mode.check(3010, 0.999, 3000);
        assert!(!mode.is_on());

        let mut mode = waiting(2);
        mode.reported = 2;
        mode.check(0, 0.999, 3000);
        assert!(!mode.is_on());
    }

    #[test]
    fn a_single_block_must_be_reported() {
        let mut mode = waiting(1);
        mode.check(0, 0.999, 0);
        assert!(mode.is_on());
        mode.block_found();
        mode.check(0, 0.999, 0);
        assert!(!mode.is_on());
    }

    #[test]
    fn a_loss_below_the_threshold_starts_the_extension_anew() {
        let mut mode = waiting(1000);
        mode.reported = 999;
        mode.check(0, 0.999, 3000);
        mode.block_lost();
        mode.check(1, 0.999, 3000);
        mode.block_found();
        mode.check(2999, 0.999, 3000);
        mode.check(3001, 0.999, 3000);
        assert!(mode.is_on());
    }
}
