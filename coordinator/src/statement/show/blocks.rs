//! `SHOW BLOCKS OF t`: where the blocks of a table's files are, and which workers read them from their own disks.

use datafusion::sql::sqlparser::ast::ObjectName;
use quarry_engine::files::{DataFile, Location};
use quarry_engine::split::Hosts;

use super::{Row, table};
use crate::error::Result;
use crate::statement::kind::Blocks;
use crate::statement::scope::Scope;
use crate::system::WorkerRow;

pub(super) const COLUMNS: &[&str] = &["file", "block#", "offset#", "length#", "hosts", "local_workers"];

pub(super) async fn rows(scope: &Scope, of: &Blocks) -> Result<Vec<Row>> {
    let files = match of {
        Blocks::Table(name) => of_table(scope, name).await?,
        Blocks::Path(path) => of_path(scope, path).await?,
    };
    let workers = scope.view.system.workers();
    let mut rows = Vec::new();
    for file in files {
        for (number, block) in file.blocks.iter().enumerate() {
            rows.push(vec![
                Some(file.path.clone()),
                Some(number.to_string()),
                Some(block.offset.to_string()),
                Some(block.length.to_string()),
                Some(hosts(&block.hosts)),
                local_workers(&block.hosts, &workers),
            ]);
        }
    }
    Ok(rows)
}

async fn of_table(scope: &Scope, name: &ObjectName) -> Result<Vec<DataFile>> {
    let (_, _, table) = table(scope, name).await?;
    let mut files: Vec<DataFile> = table.files().await?.into_iter().map(|found| found.file).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

async fn of_path(scope: &Scope, path: &str) -> Result<Vec<DataFile>> {
    let location = Location::parse(path)?;
    let file_system = scope.view.tables.files().get(&location);
    let listed = file_system.list_located(&location.path).await;
    Ok(listed.map_err(|error| error.context(format!("listing {location}")))?)
}

fn hosts(hosts: &Hosts) -> String {
    let names: Vec<String> = hosts
        .iter()
        .map(|host| format!("{} ({}{})", host.datanode_uuid, host.ip, host.rack))
        .collect();
    names.join(", ")
}

fn local_workers(hosts: &Hosts, workers: &[WorkerRow]) -> Option<String> {
    let beside = |worker: &&WorkerRow| {
        let datanode = worker.datanode.as_deref();
        hosts.iter().any(|host| Some(host.datanode_uuid.as_str()) == datanode)
    };
    let local: Vec<&str> = workers
        .iter()
        .filter(beside)
        .map(|worker| worker.address.as_str())
        .collect();
    (!local.is_empty()).then(|| local.join(", "))
}
