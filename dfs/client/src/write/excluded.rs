//! DataNodes that failed a writer: not asked for its next blocks, until they have had time to come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quarry_dfs_wire::block::ExtendedBlock;

use crate::error::{Error, Result};
use crate::location::{BlockLocation, DataNodeInfo};
use crate::shared::Shared;
use crate::status::FileStatus;

/// HDFS's `dfs.client.write.exclude.nodes.cache.expiry.interval.millis`.
const EXCLUDED_FOR: Duration = Duration::from_secs(600);

/// Pauses between two questions for a block while no DataNode is there, doubled from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// The DataNodes that one writer keeps away from.
#[derive(Debug, Default)]
pub(crate) struct Excluded {
    nodes: Vec<(Arc<DataNodeInfo>, Instant)>,
    /// Whether the file has had a block: that there is no DataNode is then news that may pass.
    had_block: bool,
}

impl Excluded {
    pub(crate) fn add(&mut self, node: Arc<DataNodeInfo>) {
        self.nodes.retain(|(known, _)| known.uuid != node.uuid);
        self.nodes.push((node, Instant::now()));
    }

    fn now(&mut self) -> Vec<Arc<DataNodeInfo>> {
        self.nodes.retain(|(_, since)| since.elapsed() < EXCLUDED_FOR);
        self.nodes.iter().map(|(node, _)| Arc::clone(node)).collect()
    }

    /// Asks for the file's next block on DataNodes that have not failed. If there is none, those that have are asked for as
    /// well, for they may be back; and if the file had a block before, for as long as a DataNode may be silent.
    pub(crate) async fn add_block(
        &mut self,
        shared: &Shared,
        file: &FileStatus,
        previous: Option<&ExtendedBlock>,
    ) -> Result<BlockLocation> {
        let deadline = Instant::now() + shared.config.datanode_timeout;
        let (mut pause, longest) = PAUSES;
        loop {
            let excluded = self.now();
            let error = match shared.namenode.add_block(file, previous, &excluded).await {
                Ok(located) => {
                    self.had_block = true;
                    return Ok(located);
                }
                Err(error) => error,
            };
            let passing = matches!(&error, Error::NameNode { class, message, .. } if is_no_datanodes(class, message));
            let hopeful = self.had_block || !excluded.is_empty();
            if !passing || !hopeful || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::warn!(path = file.path, %error, "waiting for a DataNode to come back");
            self.had_block = true;
            self.nodes.clear();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}

/// HDFS says by an `IOException` and its text that placement found no DataNode.
pub(super) fn is_no_datanodes(class: &str, message: &str) -> bool {
    class == "java.io.IOException" && message.contains("replicat")
}
