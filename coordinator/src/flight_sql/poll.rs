//! `PollFlightInfo`: a query runs while its client waits for it in short calls, each of which says how far it is.
//!
//! 1. The first call plans the query and starts it. The answer has a descriptor to poll with, and no endpoint yet.
//! 2. Each further call waits a moment. An error of the query is the call's.
//! 3. As soon as there are rows, or none will come, the answer has its one endpoint and no descriptor: now it is fetched as usual.
//!    A result is not kept for long queries here: rows wait for the client in the query, which goes on as they are taken.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::sql::Command;
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use tonic::Status;

use super::info::{Outline, decode, ticket};
use super::{Inner, status};
use crate::error::Error;
use crate::query::results::Fetched;
use crate::query::{PendingResult, QueryState, Source};
use crate::session::Session;

/// How long a call waits for the query before it says that there is nothing yet.
const WAIT: Duration = Duration::from_millis(500);

impl Inner {
    /// Answers `PollFlightInfo`.
    pub(super) async fn poll(&self, session: &Arc<Session>, descriptor: FlightDescriptor) -> Result<PollInfo, Status> {
        let command = decode(&descriptor.cmd)?;
        if let Command::TicketStatementQuery(ticket) = &command {
            let handle = String::from_utf8_lossy(&ticket.statement_handle);
            return self.poll_result(&handle).await;
        }
        match self.submit(session, &command).await? {
            Some(submitted) => {
                let handle = self.keep(self.started(submitted.pending))?;
                self.poll_result(&handle).await
            }
            None => Ok(complete(self.metadata_info(&command, descriptor.cmd)?)),
        }
    }

    fn started(&self, pending: PendingResult) -> PendingResult {
        let source = match pending.source {
            Source::Run(run) => {
                let _runtime = self.runtime.enter();
                Source::Started(run.start())
            }
            other => other,
        };
        PendingResult { source, ..pending }
    }

    async fn poll_result(&self, handle: &str) -> Result<PollInfo, Status> {
        let (query, schema) = self.results.look(handle).map_err(|error| status::of(&error))?;
        let outline = Outline::of_query(query.id, &schema);
        let result = ticket(handle.to_owned());
        if tokio::time::timeout(WAIT, query.ready()).await.is_err() {
            let mut answer = PollInfo {
                info: Some(outline.info(None)?),
                progress: Some(query.share()),
                flight_descriptor: Some(FlightDescriptor::new_cmd(result)),
                ..PollInfo::default()
            };
            let expires = answer.expiration_time.get_or_insert_default();
            (expires.seconds, expires.nanos) = self.lifetimes.result_expires();
            return Ok(answer);
        }
        let progress = query.progress();
        if progress.rows == 0 && progress.state != QueryState::Finished {
            let error = self.failure(handle).await;
            return Err(status::of_query(&error, query.id));
        }
        Ok(complete(outline.info(Some(result))?))
    }

    /// Why a query ended without rows: its one message to whoever fetches it.
    async fn failure(&self, handle: &str) -> Error {
        let Ok((_, _, Fetched::Started(mut rows))) = self.results.fetch(handle) else {
            return Error::Cancelled;
        };
        while let Some(message) = rows.recv().await {
            if let Err(error) = message {
                return error;
            }
        }
        Error::Cancelled
    }
}

fn complete(info: FlightInfo) -> PollInfo {
    PollInfo {
        info: Some(info),
        progress: Some(1.0),
        ..PollInfo::default()
    }
}
