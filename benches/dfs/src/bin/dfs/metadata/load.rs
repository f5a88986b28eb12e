//! The native load: clients that each call one operation again and again, every answer checked.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use quarry_benches_dfs::report::{Latencies, Line, Unit};
use quarry_benches_dfs::systems::Cluster;

use super::connection::{Client, Connection};
use super::operations::{self, Operation};

/// Clients that call at a time, below one directory.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    system: &'a Cluster,
    clients: usize,
    connections: usize,
    time: Duration,
    root: String,
}

impl<'a> Load<'a> {
    /// Prepares a directory per client.
    pub(crate) async fn new(
        system: &'a Cluster,
        clients: usize,
        connections: usize,
        time: Duration,
        root: String,
    ) -> Result<Self> {
        let rpc = system.rpc(1);
        for client in 0..clients {
            operations::mkdirs(&rpc, format!("{root}/c{client}")).await?;
        }
        Ok(Self {
            system,
            clients,
            connections: connections.min(clients),
            time,
            root,
        })
    }

    /// All operations, each on what the ones before left.
    pub(crate) async fn all(&self) -> Result<Vec<Line>> {
        let most = vec![usize::MAX; self.clients];
        let (mkdirs, _) = self.phase(Operation::Mkdirs, &most, &most).await?;
        let (create, files) = self.phase(Operation::Create, &most, &most).await?;
        let (status, _) = self.phase(Operation::GetFileInfo, &most, &files).await?;
        let (rename, renamed) = self.phase(Operation::Rename, &files, &most).await?;
        let (delete, _) = self.phase(Operation::Delete, &renamed, &most).await?;
        operations::delete(&self.system.rpc(1), self.root.clone()).await?;
        Ok(vec![status, mkdirs, create, rename, delete])
    }

    /// Has every client work until the time is over or it did so as often as `limits` says, on the first `modulo` things; also
    /// answers how often each client did.
    async fn phase(&self, operation: Operation, limits: &[usize], modulo: &[usize]) -> Result<(Line, Vec<usize>)> {
        let cpu_before = self.system.cpu_micros();
        let began = Instant::now();
        let mut threads = tokio::task::JoinSet::new();
        for first in 0..self.connections {
            let numbers = (first..self.clients).step_by(self.connections);
            let clients = numbers
                .map(|n| Client::new(n, &self.root, limits[n], modulo[n]))
                .collect();
            let (server, user) = (self.system.namenode, self.system.user.clone());
            let end = began + self.time;
            threads.spawn_blocking(move || Connection::new(server, &user, clients, operation, end)?.run());
        }
        let mut counts = vec![0; self.clients];
        let mut all = Vec::new();
        while let Some(ended) = threads.join_next().await {
            for client in ended?.with_context(|| operation.name())? {
                counts[client.number] = client.latencies.len();
                all.extend(client.latencies);
            }
        }
        let (calls, seconds) = (all.len() as f64, began.elapsed().as_secs_f64());
        let line = Line {
            latencies: Some(Latencies::of(all)),
            server_micros: Some((self.system.cpu_micros() - cpu_before) as f64 / calls),
            ..Line::new(operation.name(), Unit::Rate, calls / seconds)
        };
        Ok((line, counts))
    }
}
