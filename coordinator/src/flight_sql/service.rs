//! Flight's methods: find the session, answer, log what failed.

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::Command;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse,
    PollInfo, PutResult, SchemaResult, Ticket,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

use super::{FlightSql, Inner, auth, defaults, info, metadata, status, stream};
use crate::error::Error;
use crate::query::results::Fetched;
use crate::session::{Defaults, Session, SessionKey};

type Stream<T> = BoxStream<'static, Result<T, Status>>;

/// Who calls, and what the headers ask for.
struct Caller {
    session: Arc<Session>,
    defaults: Defaults,
}

impl Caller {
    async fn session(self, inner: &Inner) -> Result<Arc<Session>, Status> {
        inner.begin(self.session, self.defaults).await
    }
}

impl FlightSql {
    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let headers = request.metadata();
        Ok(Caller {
            session: auth::session(&self.inner.sessions, &self.inner.users, headers, request.extensions())?,
            defaults: defaults::of(headers).map_err(|error| status::of(&error))?,
        })
    }
}

#[tonic::async_trait]
impl FlightService for FlightSql {
    type HandshakeStream = Stream<HandshakeResponse>;
    type ListFlightsStream = Stream<FlightInfo>;
    type DoGetStream = Stream<FlightData>;
    type DoPutStream = Stream<PutResult>;
    type DoExchangeStream = Stream<FlightData>;
    type DoActionStream = Stream<arrow_flight::Result>;
    type ListActionsStream = Stream<ActionType>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let (metadata, _, mut messages) = request.into_parts();
        let token = auth::handshake(&self.inner.sessions, &self.inner.users, &metadata, &mut messages).await;
        let token = token.map_err(|error| status::of(&error))?;
        let bearer = format!("Bearer {token}").parse();
        let bearer: MetadataValue<_> = bearer.map_err(|_| status::of(&Error::Internal("token".to_owned())))?;
        let message = HandshakeResponse {
            protocol_version: 0,
            payload: token.into(),
        };
        let mut response = Response::new(futures::stream::iter([Ok(message)]).boxed());
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn list_flights(&self, _request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(status::of(&Error::Unsupported(
            "ListFlights (tables are listed by Flight SQL's GetTables)".to_owned(),
        )))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let session = self.caller(&request)?.session(&self.inner).await?;
        Ok(Response::new(
            self.inner.flight_info(&session, request.into_inner()).await?,
        ))
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let session = self.caller(&request)?.session(&self.inner).await?;
        Ok(Response::new(self.inner.poll(&session, request.into_inner()).await?))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let session = self.caller(&request)?.session(&self.inner).await?;
        Ok(Response::new(self.inner.schema(&session, request.get_ref()).await?))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let session = self.caller(&request)?.session(&self.inner).await?;
        match info::decode(&request.get_ref().ticket)? {
            Command::TicketStatementQuery(ticket) => self.inner.fetch(&ticket.statement_handle),
            command => self.inner.metadata(&session, command).await,
        }
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let session = self.caller(&request)?.session(&self.inner).await?;
        let result = self.inner.put(&session, request.into_inner()).await?;
        Ok(Response::new(futures::stream::iter([Ok(result)]).boxed()))
    }

    async fn do_exchange(
        &self,
        _request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(status::of(&Error::Unsupported("DoExchange".to_owned())))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let key = auth::key(request.metadata(), request.extensions()).map_err(|error| status::of(&error))?;
        let session = self.caller(&request)?.session(&self.inner).await?;
        let action = request.into_inner();
        let result = self.inner.action(&session, &key, &action).await?;
        let results = result.map(|body| Ok(arrow_flight::Result { body }));
        let mut response = Response::new(futures::stream::iter(results).boxed());
        if action.r#type == "SetSessionOptions" {
            self.offer_cookie(&key, &session, &mut response)?;
        }
        Ok(response)
    }

    async fn list_actions(&self, _request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let actions = super::actions::list().into_iter().map(Ok);
        Ok(Response::new(futures::stream::iter(actions).boxed()))
    }
}

impl FlightSql {
    /// A client known only by its connection gets a cookie, so that it finds its options again on the next one.
    fn offer_cookie<T>(
        &self,
        key: &SessionKey,
        session: &Arc<Session>,
        response: &mut Response<T>,
    ) -> Result<(), Status> {
        if !matches!(key, SessionKey::Connection(_)) {
            return Ok(());
        }
        let cookie = self
            .inner
            .sessions
            .cookie(session)
            .map_err(|error| status::of(&error))?;
        if let Ok(value) = format!("{}={cookie}", auth::COOKIE).parse() {
            response.metadata_mut().insert("set-cookie", value);
        }
        Ok(())
    }
}

impl Inner {
    /// Starts a query that waits, or sends rows that are there.
    fn fetch(&self, handle: &[u8]) -> Result<Response<Stream<FlightData>>, Status> {
        let handle = String::from_utf8_lossy(handle);
        let (query, schema, fetched) = self.results.fetch(&handle).map_err(|error| status::of(&error))?;
        let rows = match fetched {
            Fetched::Run(run) => {
                let _runtime = self.runtime.enter();
                stream::of_rows(run.start(), schema, query.id)
            }
            Fetched::Started(rows) => stream::of_rows(rows, schema, query.id),
            Fetched::Stored(batches) => stream::of_batches(batches, schema, Some(query.id)),
        };
        let mut response = Response::new(rows);
        if let Ok(value) = query.id.to_string().parse() {
            response.metadata_mut().insert(status::QUERY_ID, value);
        }
        Ok(response)
    }

    async fn metadata(&self, session: &Arc<Session>, command: Command) -> Result<Response<Stream<FlightData>>, Status> {
        if metadata::schema_of(&command, &self.constants).is_none() {
            return Err(info::unsupported(&command));
        }
        let rows = metadata::rows(command, &self.constants, &self.dispatcher, session).await;
        let rows = rows.map_err(|error| status::of(&error))?;
        let schema = rows.schema();
        Ok(Response::new(stream::of_batches(vec![rows], schema, None)))
    }
}
