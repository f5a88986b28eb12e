//! Writes the expected values anew, by plain DataFusion over the fixtures in memory: no part of Quarry is involved.

use std::sync::Arc;

use anyhow::{Context, Result};
use futures::FutureExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use quarry_sql_tests::engine::{Database, Plain};
use quarry_sql_tests::fixtures;
use sqllogictest::{default_normalizer, default_validator, strict_column_validator};
use url::Url;

use crate::files;

/// Names the store in memory.
const BASE: &str = "hdfs://memory";

/// Records every file, or those whose name contains the value of `QUARRY_SLT_RECORD`, unless that is `1`.
pub(crate) fn all() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wanted = std::env::var("QUARRY_SLT_RECORD")?;
    runtime.block_on(async {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        fixtures::write(&store).await?;
        for file in files::all()?
            .into_iter()
            .filter(|file| wanted == "1" || file.name.contains(&wanted))
        {
            println!("recording {}", file.name);
            record(&file, &store).await.with_context(|| file.name.clone())?;
        }
        Ok(())
    })
}

async fn record(file: &files::SltFile, store: &Arc<dyn ObjectStore>) -> Result<()> {
    let connect = || {
        let store = Arc::clone(store);
        async move {
            let base = Url::parse(BASE).context("the store's name is a URL")?;
            Ok(Database {
                session: Box::new(Plain::with_fixtures(&base, store).await?),
                name: "plain",
            })
        }
        .boxed()
    };
    let mut runner = files::runner(file, BASE, connect);
    let updated = runner
        .update_test_file(
            &file.path,
            " ",
            default_validator,
            default_normalizer,
            strict_column_validator,
        )
        .await;
    updated.map_err(|error| anyhow::anyhow!("{error}"))
}
