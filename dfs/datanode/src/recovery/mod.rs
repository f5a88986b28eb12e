//! Block recovery: closing a block whose writer is gone, by order of the NameNode.
//!
//! This DataNode leads (HDFS calls it the primary):
//!
//! 1. every holder, this one included, stops its writer, lets no other in and says what it has ([`participant`]). From then on
//!    nothing more of this block can be acknowledged
//! 2. [`agree`] finds the length to keep and who takes part
//! 3. the participants cut their replicas to it, give them the recovery's stamp, finalize and report them
//! 4. the NameNode learns who did; all others are stale by their stamp and will be replaced
//!
//! What it may not assume: that holders answer, or that it is the only leader. A newer recovery has the larger stamp, and a holder
//! that it has reached obeys no older one. An order that is repeated finds the holders where it left them.

mod agree;
pub(crate) mod participant;
pub(crate) mod peer;

use std::sync::Arc;

use agree::{Agreement, Holding};
use futures::future::join_all;
use participant::Update;
use peer::Peer;
use quarry_dfs_wire::block::{Block, BlockId, GenerationStamp};
use quarry_dfs_wire::proto::dfs_v1::{RecoverBlock, RecoveryResult, Target};

use crate::node::Node;

/// Recovers a block and says how it went.
pub(crate) async fn recover(node: &Arc<Node>, command: RecoverBlock) -> RecoveryResult {
    let block_id = command.block.as_ref().map_or(0, |block| block.block_id);
    let new_generation_stamp = command.new_generation_stamp;
    let outcome = match Recovery::new(node, &command) {
        Ok(recovery) => recovery.run().await,
        Err(error) => Err(error),
    };
    let result = outcome.unwrap_or_else(|error| {
        tracing::warn!(block = block_id, recovery = new_generation_stamp, %error, "block recovery failed");
        RecoveryResult {
            error,
            ..RecoveryResult::default()
        }
    });
    RecoveryResult {
        block_id,
        new_generation_stamp,
        ..result
    }
}

struct Recovery<'a> {
    node: &'a Arc<Node>,
    block: Block,
    stamp: GenerationStamp,
    truncate: Option<u64>,
    copy_to: Option<BlockId>,
    holders: Vec<(&'a Target, Peer)>,
}

impl<'a> Recovery<'a> {
    fn new(node: &'a Arc<Node>, command: &'a RecoverBlock) -> Result<Self, String> {
        let block = command.block.as_ref().ok_or("the order names no block")?;
        let block = Block::try_from(block).map_err(|error| error.to_string())?;
        let with_peer = |target: &'a Target| (target, Peer::new(node, target));
        Ok(Self {
            node,
            block,
            stamp: GenerationStamp(command.new_generation_stamp),
            truncate: command.truncate_length,
            copy_to: (command.new_block_id != 0).then_some(BlockId(command.new_block_id)),
            holders: command.holders.iter().map(with_peer).collect(),
        })
    }

    async fn run(&self) -> Result<RecoveryResult, String> {
        let (holdings, failures) = self.ask().await;
        let agreement = agree::agree(self.block.length, self.truncate, &holdings);
        match agreement.map_err(|error| format!("{error}{}", listed(&failures)))? {
            Agreement::Empty if failures.is_empty() => Ok(RecoveryResult::default()),
            // Somebody who could not be asked may have bytes.
            Agreement::Empty => Err(format!("nobody who answered has a byte{}", listed(&failures))),
            Agreement::Keep { length, participants } => self.bring_to(length, &participants).await,
        }
    }

    /// What the holders have, and why some did not say.
    async fn ask(&self) -> (Vec<Holding>, Vec<String>) {
        let asked = self
            .holders
            .iter()
            .map(|(_, peer)| peer.init(self.node, self.block, self.stamp));
        let mut holdings = Vec::new();
        let mut failures = Vec::new();
        for (holder, answer) in join_all(asked).await.into_iter().enumerate() {
            match answer {
                Ok(Some(replica)) => holdings.push(Holding { holder, replica }),
                Ok(None) => {}
                Err(error) => failures.push(self.failure(holder, &error)),
            }
        }
        (holdings, failures)
    }

    async fn bring_to(&self, length: u64, participants: &[usize]) -> Result<RecoveryResult, String> {
        let update = Update {
            id: self.block.id,
            recovery: self.stamp,
            length,
            copy_to: self.copy_to,
        };
        let updates = participants
            .iter()
            .map(|&holder| self.holders[holder].1.update(self.node, update));
        let mut result = RecoveryResult {
            length,
            ..RecoveryResult::default()
        };
        let mut failures = Vec::new();
        for (&holder, answer) in participants.iter().zip(join_all(updates).await) {
            match answer {
                Ok(storage_id) => {
                    result.datanode_uuids.push(self.holders[holder].0.datanode_uuid.clone());
                    result.storage_ids.push(storage_id);
                }
                Err(error) => failures.push(self.failure(holder, &error)),
            }
        }
        if result.datanode_uuids.is_empty() {
            return Err(format!(
                "no holder could be brought to {length} bytes{}",
                listed(&failures)
            ));
        }
        Ok(result)
    }

    fn failure(&self, holder: usize, error: &str) -> String {
        let target = self.holders[holder].0;
        tracing::info!(block = %self.block, holder = %target.datanode_uuid, error, "holder takes no part in the recovery");
        format!("{}:{}: {error}", target.ip, target.ipc_port)
    }
}

fn listed(failures: &[String]) -> String {
    if failures.is_empty() {
        return String::new();
    }
    format!(" (did not take part: {})", failures.join("; "))
}
