//! The load: clients that each call one operation again and again, every answer checked.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use quarry_dfs_wire::rpc::RpcClient;
use tokio::task::JoinSet;

use super::operations;
use super::report::{Latencies, Line};

/// Clients that call at a time, below one directory.
#[derive(Debug)]
pub(crate) struct Load {
    rpc: RpcClient,
    clients: usize,
    time: Duration,
    root: Arc<str>,
}

/// What one client did.
#[derive(Debug, Default)]
struct Done {
    /// Microseconds of each call.
    latencies: Vec<u32>,
}

impl Load {
    /// Prepares a directory per client.
    pub(crate) async fn new(rpc: RpcClient, clients: usize, time: Duration, root: &str) -> Result<Self> {
        for client in 0..clients {
            operations::mkdirs(&rpc, format!("{root}/c{client}")).await?;
        }
        Ok(Self {
            rpc,
            clients,
            time,
            root: root.into(),
        })
    }

    /// All operations, each on what the ones before left.
    pub(crate) async fn all(&self) -> Result<Vec<Line>> {
        let most = usize::MAX;
        let (mkdirs, _) = self
            .phase(
                "mkdirs",
                |_| most,
                |rpc, at, _, n| async move { operations::mkdirs(&rpc, format!("{at}/d{n}")).await },
            )
            .await?;
        let (create, files) = self
            .phase(
                "create+close",
                |_| most,
                |rpc, at, client, n| async move { operations::create(&rpc, format!("{at}/f{n}"), &client).await },
            )
            .await?;
        let counts = Arc::new(files);
        let modulo = Arc::clone(&counts);
        let (status, _) = self
            .phase(
                "getFileInfo",
                |_| most,
                move |rpc, at, client, n| {
                    let files = modulo[index(&client)].max(1);
                    async move { operations::get_file_info(&rpc, format!("{at}/f{}", n % files)).await }
                },
            )
            .await?;
        let (rename, renamed) = self
            .phase("rename", |client| counts[client], |rpc, at, _, n| async move {
                operations::rename(&rpc, format!("{at}/f{n}"), format!("{at}/r{n}")).await
            })
            .await?;
        let (delete, _) = self
            .phase(
                "delete",
                |client| renamed[client],
                |rpc, at, _, n| async move { operations::delete(&rpc, format!("{at}/r{n}")).await },
            )
            .await?;
        operations::delete(&self.rpc, self.root.to_string()).await?;
        Ok(vec![status, mkdirs, create, rename, delete])
    }

    /// Has every client call `operation` with 0, 1, 2 .. until the time is over or it did so `limit` times; also answers how often
    /// each client did.
    async fn phase<F>(
        &self,
        operation: &'static str,
        limit: impl Fn(usize) -> usize,
        call: impl Fn(RpcClient, Arc<str>, Arc<str>, usize) -> F + Clone + Send + 'static,
    ) -> Result<(Line, Vec<usize>)>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (began, mut tasks) = (Instant::now(), JoinSet::new());
        for client in 0..self.clients {
            let (call, limit, time) = (call.clone(), limit(client), self.time);
            let rpc = self.rpc.clone();
            let at: Arc<str> = format!("{}/c{client}", self.root).into();
            let name: Arc<str> = format!("bench_{client}").into();
            tasks.spawn(async move {
                let mut done = Done::default();
                while done.latencies.len() < limit {
                    let sent = Instant::now();
                    if sent - began >= time {
                        break;
                    }
                    call(rpc.clone(), Arc::clone(&at), Arc::clone(&name), done.latencies.len()).await?;
                    let micros = sent.elapsed().as_micros();
                    done.latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
                }
                anyhow::Ok((client, done))
            });
        }
        let mut counts = vec![0; self.clients];
        let mut all = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            let (client, done) = ended??;
            counts[client] = done.latencies.len();
            all.extend(done.latencies);
        }
        let seconds = began.elapsed().as_secs_f64();
        let line = Line {
            operation,
            per_second: all.len() as f64 / seconds,
            latencies: Latencies::of(all),
        };
        Ok((line, counts))
    }
}

fn index(client: &str) -> usize {
    client
        .rsplit('_')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}
