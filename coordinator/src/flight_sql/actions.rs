//! `DoAction`: prepared statements, session options, cancellation.
//!
//! Flight SQL's own actions wrap their bodies in `Any`; Flight's (sessions, `CancelFlightInfo`) are bare messages.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, Any, Command, ProstMessageExt,
};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint, FlightInfo,
    RenewFlightEndpointRequest,
};
use bytes::Bytes;
use datafusion::arrow::datatypes::Schema;
use prost::Message;
use tonic::Status;

use super::messages::{
    CloseSessionResult, GetSessionOptionsResult, OptionValue, PreparedStatementResult, SessionOptionValue,
    SetSessionOptionError, SetSessionOptionsRequest, SetSessionOptionsResult,
};
use super::metadata::encode_schema;
use super::prepared::Prepared;
use super::{Inner, info, status};
use crate::catalog::{CATALOG, DEFAULT_SCHEMA};
use crate::error::{Error, ErrorKind, Result};
use crate::session::{Session, SessionKey};
use crate::statement::use_schema;
use crate::wire_types::parameter_schema;

/// Every action that is answered, with a word about it.
const ACTIONS: [(&str, &str); 8] = [
    (
        "CreatePreparedStatement",
        "plans a statement; ActionCreatePreparedStatementRequest -> ActionCreatePreparedStatementResult",
    ),
    (
        "ClosePreparedStatement",
        "forgets a prepared statement; ActionClosePreparedStatementRequest",
    ),
    (
        "CancelQuery",
        "stops a query; ActionCancelQueryRequest -> ActionCancelQueryResult",
    ),
    (
        "CancelFlightInfo",
        "stops a query; CancelFlightInfoRequest -> CancelFlightInfoResult",
    ),
    (
        "RenewFlightEndpoint",
        "keeps an unfetched result for longer; RenewFlightEndpointRequest -> FlightEndpoint",
    ),
    (
        "SetSessionOptions",
        "sets catalog, schema and settings; SetSessionOptionsRequest -> SetSessionOptionsResult",
    ),
    (
        "GetSessionOptions",
        "reads them; GetSessionOptionsRequest -> GetSessionOptionsResult",
    ),
    (
        "CloseSession",
        "ends the session; CloseSessionRequest -> CloseSessionResult",
    ),
];

/// Status of a closed session, `CloseSessionResult.CLOSED`.
const CLOSED: i32 = 1;
/// `SetSessionOptionsResult.ErrorValue`: unknown name, unusable value.
const INVALID_NAME: i32 = 1;
const INVALID_VALUE: i32 = 2;
const OTHER_ERROR: i32 = 3;

/// Answers `ListActions`.
pub(super) fn list() -> Vec<ActionType> {
    ACTIONS
        .iter()
        .map(|(name, text)| ActionType {
            r#type: (*name).to_owned(),
            description: (*text).to_owned(),
        })
        .collect()
}

impl Inner {
    /// Answers `DoAction`: at most one result.
    pub(super) async fn action(
        &self,
        session: &Arc<Session>,
        key: &SessionKey,
        action: &Action,
    ) -> Result<Option<Bytes>, Status> {
        let body = action.body.as_ref();
        match action.r#type.as_str() {
            "CreatePreparedStatement" => {
                let request: ActionCreatePreparedStatementRequest = unpack(body)?;
                info::no_transaction(request.transaction_id.as_ref())?;
                let result = self
                    .prepare(session, &request.query)
                    .await
                    .map_err(|error| status::of(&error))?;
                Ok(Some(result.as_any().encode_to_vec().into()))
            }
            "ClosePreparedStatement" => {
                let request: ActionClosePreparedStatementRequest = unpack(body)?;
                self.prepared.close(&request.prepared_statement_handle);
                Ok(None)
            }
            "CancelQuery" => {
                let request: ActionCancelQueryRequest = unpack(body)?;
                let flight_info = FlightInfo::decode(request.info).map_err(status::bad_request)?;
                let result = self.cancel(&flight_info)? as i32;
                Ok(Some(ActionCancelQueryResult { result }.as_any().encode_to_vec().into()))
            }
            "CancelFlightInfo" => {
                let request: CancelFlightInfoRequest = decode(body)?;
                let flight_info = request
                    .info
                    .ok_or_else(|| status::bad_request("CancelFlightInfo without info"))?;
                bare(&CancelFlightInfoResult {
                    status: self.cancel(&flight_info)? as i32,
                })
            }
            "RenewFlightEndpoint" => self.renew(decode(body)?),
            "SetSessionOptions" => {
                let request: SetSessionOptionsRequest = decode(body)?;
                bare(&self.set_options(session, request.session_options).await)
            }
            "GetSessionOptions" => bare(&options(session)),
            "CloseSession" => {
                self.sessions.close(key);
                bare(&CloseSessionResult { status: CLOSED })
            }
            other => Err(status::of(&Error::Unsupported(format!("action {other:?}")))),
        }
    }

    async fn prepare(&self, session: &Arc<Session>, sql: &str) -> Result<PreparedStatementResult> {
        let described = self.dispatcher.describe(session, sql).await?;
        let prepared = Prepared {
            sql: sql.into(),
            is_update: described.is_update,
            values: None,
        };
        let is_update = prepared.is_update;
        Ok(PreparedStatementResult {
            prepared_statement_handle: self.prepared.put(prepared)?.into(),
            dataset_schema: schema_or_nothing(&described.schema)?,
            parameter_schema: schema_or_nothing(&parameter_schema(&described.parameters))?,
            is_update: Some(is_update),
        })
    }

    /// Stops the query whose result is in `flight_info`.
    fn cancel(&self, flight_info: &FlightInfo) -> Result<CancelStatus, Status> {
        let waiting = flight_info
            .endpoint
            .iter()
            .filter_map(handle_of)
            .find_map(|handle| self.results.discard(&handle));
        let named = std::str::from_utf8(&flight_info.app_metadata)
            .ok()
            .and_then(|id| id.parse().ok());
        let query = waiting.or_else(|| self.dispatcher.queries.get(named?));
        let query = query.ok_or_else(|| status::of(&Error::not_found("query", "of this FlightInfo")))?;
        query.cancel.cancel();
        if query.state() == crate::query::QueryState::Planned {
            query.fail(&Error::Cancelled);
        }
        Ok(CancelStatus::Cancelled)
    }

    fn renew(&self, request: RenewFlightEndpointRequest) -> Result<Option<Bytes>, Status> {
        let mut endpoint = request
            .endpoint
            .ok_or_else(|| status::bad_request("RenewFlightEndpoint without endpoint"))?;
        let renewed = handle_of(&endpoint).is_some_and(|handle| self.results.renew(&handle));
        if renewed {
            let expires = endpoint.expiration_time.get_or_insert_default();
            (expires.seconds, expires.nanos) = self.lifetimes.result_expires();
            bare(&endpoint)
        } else {
            Err(status::of(&Error::not_found("result", "of this endpoint")))
        }
    }

    async fn set_options(
        &self,
        session: &Arc<Session>,
        options: HashMap<String, SessionOptionValue>,
    ) -> SetSessionOptionsResult {
        let mut errors = HashMap::new();
        // Catalog before schema: the order in which they make sense.
        let mut options: Vec<_> = options.into_iter().collect();
        options.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, value) in options {
            if let Err(value) = self.set_option(session, &name, value).await {
                errors.insert(name, SetSessionOptionError { value });
            }
        }
        SetSessionOptionsResult { errors }
    }

    async fn set_option(&self, session: &Arc<Session>, name: &str, value: SessionOptionValue) -> Result<(), i32> {
        let value = value.value.map(text_of).transpose()?;
        let result = match (name, value) {
            ("catalog", value) => session.set_catalog(value.as_deref().unwrap_or(CATALOG)),
            ("schema", value) => {
                use_schema(
                    value.as_deref().unwrap_or(DEFAULT_SCHEMA),
                    &self.dispatcher.catalog,
                    session,
                )
                .await
            }
            (name, Some(value)) => {
                return session
                    .change_settings(|settings| settings.set(name, &value))
                    .map_err(|_| setting_error(name));
            }
            (name, None) => {
                return session
                    .change_settings(|settings| settings.reset(name))
                    .map_err(|_| INVALID_NAME);
            }
        };
        result.map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                INVALID_VALUE
            } else {
                OTHER_ERROR
            }
        })
    }
}

fn setting_error(name: &str) -> i32 {
    if crate::settings::keys().any(|key| key.eq_ignore_ascii_case(name)) {
        INVALID_VALUE
    } else {
        INVALID_NAME
    }
}

fn text_of(value: OptionValue) -> Result<String, i32> {
    match value {
        OptionValue::String(text) => Ok(text),
        OptionValue::Bool(value) => Ok(value.to_string()),
        OptionValue::Int(value) => Ok(value.to_string()),
        OptionValue::Double(value) => Ok(value.to_string()),
        OptionValue::Strings(_) => Err(INVALID_VALUE),
    }
}

fn options(session: &Session) -> GetSessionOptionsResult {
    let option = |text: &str| SessionOptionValue {
        value: Some(OptionValue::String(text.to_owned())),
    };
    let settings = session.settings();
    let mut session_options: HashMap<_, _> = settings
        .iter()
        .map(|(key, value)| (key.to_owned(), option(value)))
        .collect();
    session_options.insert("catalog".to_owned(), option(CATALOG));
    session_options.insert("schema".to_owned(), option(&session.schema()));
    GetSessionOptionsResult { session_options }
}

/// An empty schema is sent as nothing: that is how clients know an update, and a statement without parameters.
fn schema_or_nothing(schema: &Schema) -> Result<Bytes> {
    if schema.fields().is_empty() {
        Ok(Bytes::new())
    } else {
        Ok(encode_schema(schema)?.into())
    }
}

/// The result handle in an endpoint's ticket.
fn handle_of(endpoint: &FlightEndpoint) -> Option<String> {
    match info::decode(&endpoint.ticket.as_ref()?.ticket) {
        Ok(Command::TicketStatementQuery(ticket)) => String::from_utf8(ticket.statement_handle.to_vec()).ok(),
        _ => None,
    }
}

fn unpack<M: ProstMessageExt>(body: &[u8]) -> Result<M, Status> {
    let any = Any::decode(body).map_err(status::bad_request)?;
    let message = any.unpack::<M>().map_err(status::bad_request)?;
    message.ok_or_else(|| status::bad_request(format!("expected a body of type {}", M::type_url())))
}

fn decode<M: Message + Default>(body: &[u8]) -> Result<M, Status> {
    M::decode(body).map_err(status::bad_request)
}

fn bare(message: &impl Message) -> Result<Option<Bytes>, Status> {
    Ok(Some(message.encode_to_vec().into()))
}
