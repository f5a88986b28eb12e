//! Every role in this process, joined by real sockets.

use anyhow::Context;
use futures::future::{join_all, try_join_all};
use quarry_coordinator::CoordinatorHandle;
use quarry_dfs_client::LocalReplicas;
use quarry_dfs_datanode::DataNodeHandle;
use quarry_dfs_namenode::NameNodeHandle;
use quarry_worker::WorkerHandle;
use std::net::SocketAddr;
use std::sync::Arc;

use super::endpoints::{DataNodeEndpoint, Endpoints, NodeEndpoint, WorkerEndpoint};
use super::plan::Plan;
use crate::config::{Config, Setting};
use crate::roles::{self, HostedReplicas};

/// The running roles.
pub(super) struct Embedded {
    namenode: NameNodeHandle,
    nodes: Vec<Option<Node>>,
    coordinator: CoordinatorHandle,
}

struct Node {
    datanode: DataNodeHandle,
    worker: WorkerHandle,
}

/// The configuration of one role.
fn config(plan: &Plan, settings: Vec<Setting>) -> anyhow::Result<Config> {
    Ok(plan.layers.with(settings).load()?.config)
}

impl Embedded {
    /// Starts the roles in the order in which they need each other.
    pub(super) async fn start(plan: &Plan) -> anyhow::Result<(Self, Endpoints)> {
        let (namenode, namenode_at) = roles::start_namenode(&config(plan, plan.namenode())?).await?;
        let starts = (0..usize::from(plan.nodes)).map(|node| start_datanode(plan, node, namenode_at.link));
        let datanodes = try_join_all(starts).await?;
        let coordinator_config = config(plan, plan.coordinator(namenode_at.rpc))?;
        let (coordinator, coordinator_at) = Box::pin(roles::start_coordinator(&coordinator_config)).await?;
        let mut nodes = Vec::new();
        let mut endpoints = Endpoints {
            namenode: namenode_at,
            datanodes: Vec::new(),
            workers: Vec::new(),
            coordinator: coordinator_at,
        };
        for (index, (datanode, datanode_at)) in datanodes.into_iter().enumerate() {
            let at = (endpoints.namenode.rpc, endpoints.coordinator.flight_sql);
            let (worker, worker_at) = Box::pin(start_worker(plan, index, at, &datanode)).await?;
            nodes.push(Some(Node { datanode, worker }));
            endpoints.datanodes.push(datanode_at);
            endpoints.workers.push(worker_at);
        }
        Ok((
            Self {
                namenode,
                nodes,
                coordinator,
            },
            endpoints,
        ))
    }

    /// Starts one more node.
    pub(super) async fn add_node(&mut self, plan: &Plan, endpoints: &Endpoints) -> anyhow::Result<NodeEndpoint> {
        let index = self.nodes.len();
        let (datanode, datanode_at) = start_datanode(plan, index, endpoints.namenode.link).await?;
        let at = (endpoints.namenode.rpc, endpoints.coordinator.flight_sql);
        let (worker, worker_at) = Box::pin(start_worker(plan, index, at, &datanode)).await?;
        self.nodes.push(Some(Node { datanode, worker }));
        Ok(NodeEndpoint {
            datanode: datanode_at,
            worker: worker_at,
        })
    }

    /// Ends one node.
    pub(super) async fn kill_node(&mut self, index: usize) -> anyhow::Result<()> {
        let node = self
            .nodes
            .get_mut(index)
            .and_then(Option::take)
            .with_context(|| format!("node {index} does not run"))?;
        node.worker.shutdown().await;
        node.datanode.shutdown().await;
        Ok(())
    }

    /// The replicas of a node's DataNode.
    pub(super) fn replicas(&self, index: usize) -> Option<Arc<dyn LocalReplicas>> {
        let node = self.nodes.get(index)?.as_ref()?;
        Some(HostedReplicas::of(&node.datanode))
    }

    /// Ends everything: the workers, which then leave the coordinator in order, the coordinator, the file system.
    pub(super) async fn shutdown(self) {
        let (datanodes, workers): (Vec<_>, Vec<_>) = self
            .nodes
            .into_iter()
            .flatten()
            .map(|node| (node.datanode, node.worker))
            .unzip();
        join_all(workers.into_iter().map(WorkerHandle::shutdown)).await;
        self.coordinator.shutdown().await;
        join_all(datanodes.iter().map(DataNodeHandle::shutdown)).await;
        self.namenode.shutdown().await;
    }
}

async fn start_datanode(
    plan: &Plan,
    node: usize,
    link: SocketAddr,
) -> anyhow::Result<(DataNodeHandle, DataNodeEndpoint)> {
    roles::start_datanode(&config(plan, plan.datanode(node, link))?).await
}

async fn start_worker(
    plan: &Plan,
    node: usize,
    (rpc, coordinator): (SocketAddr, SocketAddr),
    datanode: &DataNodeHandle,
) -> anyhow::Result<(WorkerHandle, WorkerEndpoint)> {
    roles::start_worker(&config(plan, plan.worker(node, rpc, coordinator))?, Some(datanode)).await
}
