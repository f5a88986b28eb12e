//! `du`, `df` and `count`: how much space files use.

use async_trait::async_trait;
use quarry_dfs_client::{ContentSummary, QuotaUsage, StorageType, TypeQuota};

use super::failure::FsError;
use super::format::Syntax;
use super::item::Item;
use super::session::{Session, Visitor};
use super::units::{Side, columns, percent, size};

const DU: Syntax = Syntax::flags(&["h", "s", "v", "x"], 0);
const DF: Syntax = Syntax::flags(&["h"], 0);

/// Shows the space that files use, and with their replicas.
pub(super) async fn du(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = DU.parse(words)?;
    let mut du = Du {
        human: given.has("h"),
        without_snapshots: given.has("x"),
        rows: Vec::new(),
    };
    let (summary, header) = (given.has("s"), given.has("v"));
    if header {
        let titles = ["SIZE", "DISK_SPACE_CONSUMED_WITH_ALL_REPLICAS", "FULL_PATH_NAME"];
        du.rows.push(titles.map(str::to_owned));
    }
    for item in session.expand_all(&given.rest_or(".")).await {
        let shown = du.show(session, item, summary).await;
        session.note(shown);
    }
    for line in columns(&du.rows, [Side::Left; 3]) {
        session.print(line)?;
    }
    Ok(())
}

struct Du {
    human: bool,
    without_snapshots: bool,
    rows: Vec<[String; 3]>,
}

impl Du {
    /// The figures of a path, or of each entry of a directory.
    async fn show(&mut self, session: &mut Session, item: Item, summary: bool) -> Result<(), FsError> {
        item.status()?;
        let items = match item.is_directory() && !summary {
            true => session.children(&item).await?,
            false => vec![item],
        };
        for item in items {
            let added = self.add(&item).await;
            session.note(added);
        }
        Ok(())
    }

    async fn add(&mut self, item: &Item) -> Result<(), FsError> {
        let summary = item.place.dfs()?.content_summary(&item.path).await?;
        let (mut length, mut consumed) = (summary.length, summary.space_consumed);
        if self.without_snapshots {
            length = length.saturating_sub(summary.snapshot_length);
            consumed = consumed.saturating_sub(summary.snapshot_space_consumed);
        }
        self.rows
            .push([size(length, self.human), size(consumed, self.human), item.shown.clone()]);
        Ok(())
    }
}

/// Shows the space of whole file systems.
pub(super) async fn df(session: &mut Session, words: Vec<String>) -> Result<(), FsError> {
    let given = DF.parse(words)?;
    let human = given.has("h");
    let titles = ["Filesystem", "Size", "Used", "Available", "Use%"];
    let mut rows = vec![titles.map(str::to_owned)];
    for item in session.expand_all(&given.rest_or("/")).await {
        let row = space(&item, human).await;
        rows.extend(session.note(row));
    }
    if rows.len() > 1 {
        let sides = [Side::Left, Side::Right, Side::Right, Side::Right, Side::Right];
        for line in columns(&rows, sides) {
            session.print(line)?;
        }
    }
    Ok(())
}

async fn space(item: &Item, human: bool) -> Result<[String; 5], FsError> {
    item.status()?;
    let stats = item.place.dfs()?.fs_stats().await?;
    Ok([
        item.place.qualify(""),
        size(stats.capacity, human),
        size(stats.used, human),
        size(stats.remaining, human),
        percent(stats.used, stats.capacity),
    ])
}

const COUNT: Syntax = Syntax::flags(&["q", "h", "v", "u", "x", "e", "s"], 0);

/// Media whose quotas are shown where none are named, in HDFS's order.
const MEDIA: [StorageType; 5] = [
    StorageType::Ssd,
    StorageType::Disk,
    StorageType::Archive,
    StorageType::Provided,
    StorageType::NvDimm,
];

/// Counts directories, files and bytes, and shows quotas.
pub(super) async fn count(session: &mut Session, mut words: Vec<String>) -> Result<(), FsError> {
    let media = take_media(&mut words)?;
    let given = COUNT.parse(words)?;
    let mut count = Count {
        quotas: given.has("q"),
        human: given.has("h"),
        usage_only: given.has("u"),
        without_snapshots: given.has("x"),
        policy: given.has("e"),
        snapshots: given.has("s"),
        media,
    };
    if count.without_snapshots && (count.quotas || count.usage_only) {
        session.print("q or u option is given, the -x option is ignored.")?;
        count.without_snapshots = false;
    }
    if given.has("v") {
        session.print(format_args!("{}PATHNAME", count.header()))?;
    }
    session.visit(&given.rest_or("."), false, &mut count).await;
    Ok(())
}

/// Takes `-t` and the media it names out of the words; without a name, or with `all`, it means all.
fn take_media(words: &mut Vec<String>) -> Result<Option<Vec<StorageType>>, FsError> {
    let Some(at) = words.iter().position(|word| word == "-t") else {
        return Ok(None);
    };
    words.remove(at);
    let is_list = |word: &String| word == "all" || word.split(',').all(|name| StorageType::from_name(name).is_some());
    match words.get(at).filter(|word| is_list(word)).cloned() {
        None => Ok(Some(MEDIA.to_vec())),
        Some(list) => {
            words.remove(at);
            let named: Vec<_> = list.split(',').filter_map(StorageType::from_name).collect();
            Ok(Some(if named.is_empty() { MEDIA.to_vec() } else { named }))
        }
    }
}

struct Count {
    quotas: bool,
    human: bool,
    usage_only: bool,
    without_snapshots: bool,
    policy: bool,
    snapshots: bool,
    media: Option<Vec<StorageType>>,
}

#[async_trait]
impl Visitor for Count {
    async fn visit(&mut self, session: &mut Session, item: &Item) -> Result<(), FsError> {
        let dfs = item.place.dfs()?;
        let line = match self.usage_only || self.media.is_some() {
            true => self.quota_line(&dfs.quota_usage(&item.path).await?),
            false => self.line(&dfs.content_summary(&item.path).await?),
        };
        session.print(format_args!("{line}{}", item.shown))
    }
}

impl Count {
    fn header(&self) -> String {
        if let Some(media) = &self.media {
            let title = |kind: &StorageType| {
                let (quota, rest) = (format!("{kind}_QUOTA"), format!("REM_{kind}_QUOTA"));
                format!("{quota:>13} {rest:>17} ")
            };
            return media.iter().map(title).collect();
        }
        let quotas = four(["QUOTA", "REM_QUOTA", "SPACE_QUOTA", "REM_SPACE_QUOTA"].map(str::to_owned));
        if self.usage_only {
            return quotas;
        }
        let counts = three(["DIR_COUNT", "FILE_COUNT", "CONTENT_SIZE"].map(str::to_owned));
        let more = [
            "SNAPSHOT_LENGTH",
            "SNAPSHOT_FILE_COUNT",
            "SNAPSHOT_DIR_COUNT",
            "SNAPSHOT_SPACE_CONSUMED",
        ];
        let policy = if self.policy { "ERASURECODING_POLICY " } else { "" };
        let snapshots = if self.snapshots {
            snapshot_columns(more.map(str::to_owned))
        } else {
            String::new()
        };
        format!("{}{counts}{policy}{snapshots}", if self.quotas { &quotas } else { "" })
    }

    fn size(&self, bytes: u64) -> String {
        size(bytes, self.human)
    }

    fn line(&self, summary: &ContentSummary) -> String {
        let mut line = String::new();
        if self.quotas {
            let names = summary.directory_count + summary.file_count;
            line.push_str(&self.limits(summary.quota, names, summary.space_quota, summary.space_consumed));
        }
        let own = |all: u64, snapshots: u64| match self.without_snapshots {
            true => all.saturating_sub(snapshots),
            false => all,
        };
        line.push_str(&three([
            self.size(own(summary.directory_count, summary.snapshot_directory_count)),
            self.size(own(summary.file_count, summary.snapshot_file_count)),
            self.size(own(summary.length, summary.snapshot_length)),
        ]));
        if self.policy {
            line.push_str(&format!("{:>20} ", summary.erasure_coding_policy));
        }
        if self.snapshots {
            line.push_str(&snapshot_columns([
                self.size(summary.snapshot_length),
                self.size(summary.snapshot_file_count),
                self.size(summary.snapshot_directory_count),
                self.size(summary.snapshot_space_consumed),
            ]));
        }
        line
    }

    fn quota_line(&self, usage: &QuotaUsage) -> String {
        let Some(media) = &self.media else {
            return self.limits(
                usage.quota,
                usage.file_and_directory_count,
                usage.space_quota,
                usage.space_consumed,
            );
        };
        let cells = |kind: &StorageType| {
            let own = usage.type_quotas.iter().find(|quota| quota.kind == *kind);
            let limit = own.and_then(|TypeQuota { quota, consumed, .. }| Some(((*quota)?, *consumed)));
            let [quota, rest] = self.limit(limit);
            format!("{quota:>13} {rest:>17} ")
        };
        media.iter().map(cells).collect()
    }

    fn limits(&self, names: Option<u64>, used_names: u64, space: Option<u64>, used_space: u64) -> String {
        let [quota, rest] = self.limit(names.map(|quota| (quota, used_names)));
        let [space, left] = self.limit(space.map(|quota| (quota, used_space)));
        four([quota, rest, space, left])
    }

    /// A quota and what is left of it, which is negative when more is used.
    fn limit(&self, limit: Option<(u64, u64)>) -> [String; 2] {
        match limit {
            None => ["none".to_owned(), "inf".to_owned()],
            Some((quota, used)) if used > quota => [self.size(quota), format!("-{}", self.size(used - quota))],
            Some((quota, used)) => [self.size(quota), self.size(quota - used)],
        }
    }
}

fn three([a, b, c]: [String; 3]) -> String {
    format!("{a:>12} {b:>12} {c:>18} ")
}

fn four([a, b, c, d]: [String; 4]) -> String {
    format!("{a:>12} {b:>15} {c:>15} {d:>15} ")
}

fn snapshot_columns([a, b, c, d]: [String; 4]) -> String {
    format!("{a:>15} {b:>19} {c:>18} {d:>23} ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn count() -> Count {
        Count {
            quotas: true,
            human: true,
            usage_only: false,
            without_snapshots: false,
            policy: false,
            snapshots: false,
            media: None,
        }
    }

    #[test]
    fn counts_stand_in_hdfs_s_columns() {
        let summary = ContentSummary {
            length: 326_117,
            file_count: 8,
            directory_count: 7,
            space_consumed: 978_351,
            quota: Some(10),
            ..ContentSummary::default()
        };
        assert_eq!(
            count().line(&summary),
            "          10              -5            none             inf            7            8            318.5 K "
        );
        assert_eq!(
            count().header(),
            "       QUOTA       REM_QUOTA     SPACE_QUOTA REM_SPACE_QUOTA    DIR_COUNT   FILE_COUNT       CONTENT_SIZE "
        );
    }

    #[test]
    fn media_are_named_after_t_or_all_are_meant() {
        let mut words: Vec<String> = ["-t", "ssd,archive", "/a"].map(String::from).into();
        assert_eq!(
            take_media(&mut words).unwrap(),
            Some(vec![StorageType::Ssd, StorageType::Archive])
        );
        assert_eq!(words, ["/a"]);
        let mut words: Vec<String> = ["-t", "/a"].map(String::from).into();
        assert_eq!(take_media(&mut words).unwrap(), Some(MEDIA.to_vec()));
        assert_eq!(words, ["/a"]);
    }
}
