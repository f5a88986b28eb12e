//! The connection to a NameNode's admin service.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use quarry_dfs_wire::proto::dfs_v1::name_node_admin_client::NameNodeAdminClient;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use crate::config::ClientConfig;
use crate::locate;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for an answer that needs no long work.
const ANSWER: Duration = Duration::from_secs(60);
/// Largest answer: a report of some ten thousand DataNodes.
const LARGEST: usize = 64 << 20;
/// Metadata key of the user's name.
const USER: &str = "quarry-user";

/// A NameNode's admin service, and who asks.
pub(super) struct Link {
    address: String,
    pub(super) user: String,
    connected: Option<NameNodeAdminClient<Channel>>,
}

impl Link {
    /// The NameNode at `address`, or the one that is configured, or of the cluster last started.
    ///
    /// # Errors
    /// None is known.
    pub(super) fn to(config: &ClientConfig, address: Option<&str>) -> anyhow::Result<Self> {
        Ok(Self {
            address: address.map_or_else(|| locate::namenode_link(config), |address| Ok(address.to_owned()))?,
            user: locate::user(config),
            connected: None,
        })
    }

    /// The service; connects when first asked for.
    ///
    /// # Errors
    /// The NameNode cannot be reached.
    pub(super) async fn service(&mut self) -> anyhow::Result<&mut NameNodeAdminClient<Channel>> {
        if self.connected.is_none() {
            let endpoint = Endpoint::from_shared(format!("http://{}", self.address))
                .with_context(|| format!("`{}` is not a NameNode's address; expected HOST:PORT", self.address))?;
            let channel = endpoint.connect_timeout(CONNECT).tcp_nodelay(true).connect().await;
            let channel = channel.with_context(|| format!("NameNode {} cannot be reached", self.address))?;
            self.connected = Some(NameNodeAdminClient::new(channel).max_decoding_message_size(LARGEST));
        }
        self.connected.as_mut().context("connected above")
    }

    /// `address` of another service of this NameNode; on this link's host if the service listens on all of its host's addresses.
    pub(super) fn beside(&self, address: &str) -> String {
        match (address.parse::<SocketAddr>(), self.address.rsplit_once(':')) {
            (Ok(any), Some((host, _))) if any.ip().is_unspecified() => format!("{host}:{}", any.port()),
            _ => address.to_owned(),
        }
    }

    /// A request in the user's name.
    ///
    /// # Errors
    /// The name cannot be sent.
    pub(super) fn request<T>(&self, message: T) -> anyhow::Result<Request<T>> {
        self.patient(message, ANSWER)
    }

    /// The same, waiting for the answer for so long.
    ///
    /// # Errors
    /// The name cannot be sent.
    pub(super) fn patient<T>(&self, message: T, patience: Duration) -> anyhow::Result<Request<T>> {
        let mut request = Request::new(message);
        let user = self
            .user
            .parse()
            .with_context(|| format!("user name `{}`", self.user))?;
        request.metadata_mut().insert(USER, user);
        request.set_timeout(patience);
        Ok(request)
    }
}

/// What was answered; a refusal with the NameNode's words.
///
/// # Errors
/// The NameNode refused, or the connection broke.
pub(super) fn answer<T>(answer: Result<Response<T>, Status>) -> anyhow::Result<T> {
    match answer {
        Ok(response) => Ok(response.into_inner()),
        Err(status) if status.code() == tonic::Code::Unimplemented => {
            anyhow::bail!("this NameNode has no admin service: is it a Quarry NameNode, and its link port?")
        }
        Err(status) if status.message().is_empty() => anyhow::bail!("{}", status.code()),
        Err(status) => anyhow::bail!("{}", status.message()),
    }
}
