//! What a check is asked for: HDFS's parameters, and some of our own.

use super::super::query::Query;

/// HDFS's name for a caller that does not say who it is.
const NOBODY: &str = "dr.who";

/// The parameters of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) user: String,
    pub(super) path: String,
    /// Blocks to look at, instead of a path.
    pub(super) block_ids: Vec<String>,
    pub(super) files: bool,
    pub(super) blocks: bool,
    pub(super) locations: bool,
    pub(super) racks: bool,
    pub(super) replica_details: bool,
    pub(super) upgrade_domains: bool,
    pub(super) maintenance: bool,
    pub(super) open_for_write: bool,
    pub(super) storage_policies: bool,
    /// Only list files that have a block without a good replica.
    pub(super) list_corrupt: bool,
    /// Where that list goes on.
    pub(super) start_block_after: u64,
    pub(super) move_corrupt: bool,
    pub(super) delete_corrupt: bool,
    /// Say how many mis-replicated blocks wait to be copied, as all do here.
    pub(super) replicate: bool,
    /// HDFS says that it means nothing any more.
    pub(super) show_progress: bool,
    /// Ours: do not have the DataNodes verify anything before.
    pub(super) skip_verification: bool,
    /// Ours: answer in JSON.
    pub(super) json: bool,
}

impl Options {
    /// From the pairs of a query. Unknown ones are ignored, as HDFS does.
    pub(super) fn of(query: &Query) -> Self {
        let mut options = Self {
            user: NOBODY.to_owned(),
            path: "/".to_owned(),
            ..Self::default()
        };
        for (name, value) in query.iter() {
            options.take(name, value);
        }
        options
    }

    fn take(&mut self, name: &str, value: &str) {
        let flag = match name {
            "ugi" if !value.is_empty() => return value.clone_into(&mut self.user),
            "path" => return value.clone_into(&mut self.path),
            "blockId" => {
                self.block_ids = value.split_whitespace().map(str::to_owned).collect();
                return;
            }
            "startblockafter" => {
                self.start_block_after = value.parse().unwrap_or(0);
                return;
            }
            "files" => &mut self.files,
            "blocks" => &mut self.blocks,
            "locations" => &mut self.locations,
            "racks" => &mut self.racks,
            "replicadetails" => &mut self.replica_details,
            "upgradedomains" => &mut self.upgrade_domains,
            "maintenance" => &mut self.maintenance,
            "openforwrite" => &mut self.open_for_write,
            "storagepolicies" => &mut self.storage_policies,
            "listcorruptfileblocks" => &mut self.list_corrupt,
            "move" => &mut self.move_corrupt,
            "delete" => &mut self.delete_corrupt,
            "replicate" => &mut self.replicate,
            "showprogress" => &mut self.show_progress,
            "skipverification" => &mut self.skip_verification,
            "json" => &mut self.json,
            _ => return,
        };
        *flag = true;
    }

    /// Whether the report of blocks names their replicas.
    pub(super) fn names_replicas(&self) -> bool {
        self.locations || self.racks || self.replica_details || self.upgrade_domains
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_hdfs_s() {
        let options = Options::of(&Query::of("ugi=ann&path=/a%20b&files=1&blockId=blk_1+blk_2+&x=1"));
        assert_eq!((options.user.as_str(), options.path.as_str()), ("ann", "/a b"));
        assert!(options.files && !options.blocks);
        assert_eq!(options.block_ids, ["blk_1", "blk_2"]);
        let none = Options::of(&Query::default());
        assert_eq!((none.user.as_str(), none.path.as_str()), ("dr.who", "/"));
    }
}
