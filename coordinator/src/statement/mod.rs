//! From SQL text to rows, plans and changes: the dispatcher.
//!
//! ```text
//! text ─ parse (limits, tokens, `?`) ─ kind (query? show? command?) ─┬─ query:   planned now, runs when fetched
//!                                                                   ├─ show:    rows from the catalog, now
//!                                                                   └─ command: done now, exactly once
//! ```
//!
//! Everything that recurses over a statement happens on a planning thread. DataFusion plans queries; what it would change by
//! itself (tables in memory, files on the server) never reaches it.

mod command;
mod kind;
mod listing;
mod names;
mod parameter_types;
mod parameters;
mod parse;
mod scope;
mod show;
mod sql_type;
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DfStatement;
use quarry_engine::formats::Tables;
use quarry_engine::id::QueryId;

pub(crate) use command::use_schema;
use kind::{Kind, classify};
use names::NameRules;
use scope::Scope;

use crate::catalog::providers::CatalogView;
use crate::catalog::{CATALOG, Catalog, Snapshot};
use crate::config::StatementLimits;
use crate::error::{Error, ErrorKind, Result};
use crate::execution::{Attempt, SharedEngine};
use crate::pattern::Like;
use crate::planning_thread::PlanningThreads;
use crate::query::run::{explain_rows, explain_schema};
use crate::query::{PendingResult, Purpose, Query, QueryRegistry, QueryState, Run, Source};
use crate::session::Session;
use crate::settings::Settings;
use crate::system::SystemTables;
use crate::wire_types::{nullable_schema, result_schema};

/// Makes the state that a statement's session starts from: functions, optimizer, planner, runtime, engine options.
pub type BaseState = Arc<dyn Fn() -> SessionState + Send + Sync>;

/// What a statement is, found out without doing anything.
#[derive(Debug, Clone)]
pub struct Description {
    /// Columns of the result as the client will get them; none for a command.
    pub schema: SchemaRef,
    /// Parameters in order.
    pub parameters: SchemaRef,
    /// Whether it changes something rather than returning rows.
    pub is_update: bool,
}

/// Parses, plans and executes statements.
pub struct Dispatcher {
    /// Runs queries.
    pub engine: SharedEngine,
    /// Where sessions' states come from.
    pub base_state: BaseState,
    /// Opens tables.
    pub tables: Arc<Tables>,
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// The system schema.
    pub system: Arc<SystemTables>,
    /// What is under way.
    pub queries: Arc<QueryRegistry>,
    /// Where planning happens.
    pub(crate) threads: PlanningThreads,
    /// Limits on statements.
    pub limits: Arc<StatementLimits>,
    /// Longest run of a statement.
    pub statement_timeout: Duration,
}

/// A statement that failed, with the query it would have been.
#[derive(Debug, thiserror::Error)]
#[error("query {query}: {error}")]
pub struct FailedStatement {
    /// Its id in the registry.
    pub query: QueryId,
    /// Why it failed.
    #[source]
    pub error: Error,
}

/// A table or view, as metadata calls list it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether it is a view.
    pub is_view: bool,
    /// Its columns, if they were asked for.
    pub columns: Option<SchemaRef>,
}

/// What a planned statement turned into.
enum Outcome {
    Query {
        plans: Vec<LogicalPlan>,
        first: Box<dyn Attempt>,
        purpose: Purpose,
    },
    Rows(RecordBatch),
    Done,
}

impl Dispatcher {
    /// Finds out what a text is. Nothing is executed.
    ///
    /// # Errors
    /// Those of parsing and planning the last statement of the text.
    pub async fn describe(&self, session: &Arc<Session>, sql: &str) -> Result<Description> {
        let scope = self.scope(session).await?;
        let described = self.describe_in(scope, sql).await;
        if !matches!(&described, Err(error) if error.kind() == ErrorKind::NotFound) {
            return described;
        }
        // Another coordinator may have created it a moment ago.
        self.catalog.fresh_snapshot().await?;
        let scope = self.scope(session).await?;
        self.describe_in(scope, sql).await
    }

    async fn describe_in(&self, scope: Scope, sql: &str) -> Result<Description> {
        let (sql, limits) = (sql.to_owned(), Arc::clone(&self.limits));
        let work = move || async move {
            let mut statements = parse::parse(&sql, &limits)?;
            let total = statements.len();
            let last = statements
                .pop_back()
                .ok_or_else(|| Error::Internal("no statement".to_owned()))?;
            describe_one(last, &scope)
                .await
                .map_err(|error| at(error, total, total))
        };
        self.threads.run(work).await
    }

    /// Executes a text: its commands at once, in order; a query at its end is planned and waits to be fetched. The second
    /// value says whether the last statement was a command.
    ///
    /// # Errors
    /// The first failing statement's; what came before it has happened.
    ///
    /// # Cancel safety
    /// Commands that have begun may or may not be done.
    pub async fn submit(
        self: &Arc<Self>,
        session: &Arc<Session>,
        sql: &str,
        values: Option<RecordBatch>,
    ) -> Result<(PendingResult, bool), FailedStatement> {
        let query = self.queries.begin(session.id, &session.user, sql);
        let query = query.map_err(|error| FailedStatement {
            query: QueryId::draw(),
            error,
        })?;
        let mut abandoned = AbandonGuard(Some(Arc::clone(&query)));
        let cancelled = query.cancel.clone();
        let work = {
            let (this, session, sql, query) = (
                Arc::clone(self),
                Arc::clone(session),
                sql.to_owned(),
                Arc::clone(&query),
            );
            move || async move { this.submit_all(&session, &sql, values, &query).await }
        };
        let result = tokio::select! {
            biased;
            () = cancelled.cancelled() => Err(Error::Cancelled),
            result = self.threads.run(work) => result,
        };
        abandoned.0 = None;
        result.map_err(|error| {
            query.fail(&error);
            FailedStatement { query: query.id, error }
        })
    }

    /// Everything that handles a statement's syntax, from parsing to planning: on a planning thread, for even a copy of it recurses.
    async fn submit_all(
        &self,
        session: &Arc<Session>,
        sql: &str,
        values: Option<RecordBatch>,
        query: &Arc<Query>,
    ) -> Result<(PendingResult, bool)> {
        let statements = parse::parse(sql, &self.limits)?;
        let total = statements.len();
        let mut values = values;
        for (index, statement) in statements.into_iter().enumerate() {
            let last = index + 1 == total;
            let values = if last { values.take() } else { None };
            let result = self.execute(session, statement, values, query, last).await;
            if let Some(outcome) = result.map_err(|error| at(error, index + 1, total))? {
                return Ok(outcome);
            }
        }
        Err(Error::Internal("a text without a last statement".to_owned()))
    }

    /// Tables and views that match, of all schemas. Those that cannot be opened are left out if columns are asked for.
    ///
    /// # Errors
    /// Errors of the catalog.
    pub(crate) async fn list_tables(
        &self,
        session: &Arc<Session>,
        schemas: Like,
        names: Like,
        with_columns: bool,
    ) -> Result<Vec<Listed>> {
        let scope = self.scope(session).await?;
        self.threads
            .run(move || async move { listing::tables(&scope, &schemas, &names, with_columns).await })
            .await
    }

    /// Executes one statement; the last one's result is returned.
    async fn execute(
        &self,
        session: &Arc<Session>,
        statement: DfStatement,
        values: Option<RecordBatch>,
        query: &Arc<Query>,
        last: bool,
    ) -> Result<Option<(PendingResult, bool)>> {
        let kind = classify(statement.clone())?;
        let is_command = matches!(kind, Kind::Command(_));
        if !is_command && !last {
            let what = "a query before the last statement of a text (nobody would get its rows)";
            return Err(Error::Unsupported(what.to_owned()));
        }
        let scope = self.scope(session).await?;
        let mut outcome = self.outcome(session, &scope, kind, values.as_ref(), query).await;
        if !is_command && matches!(&outcome, Err(error) if error.kind() == ErrorKind::NotFound) {
            self.catalog.fresh_snapshot().await?;
            let scope = self.scope(session).await?;
            outcome = self
                .outcome(session, &scope, classify(statement)?, values.as_ref(), query)
                .await;
        }
        let outcome = outcome?;
        Ok(last.then(|| (self.pending(outcome, scope, query), is_command)))
    }

    async fn outcome(
        &self,
        session: &Session,
        scope: &Scope,
        kind: Kind,
        values: Option<&RecordBatch>,
        query: &Query,
    ) -> Result<Outcome> {
        match kind {
            Kind::Command(command) => {
                command::execute(&command, scope, session).await?;
                Ok(Outcome::Done)
            }
            Kind::Show(show) => Ok(Outcome::Rows(show::rows(&show, scope).await?)),
            Kind::Query(statement) => {
                let plans = parameters::bind(scope.plan(*statement).await?, values)?;
                let first = self.engine.plan(&scope.state(), query.id, first_of(&plans)?).await?;
                Ok(Outcome::Query {
                    plans,
                    first,
                    purpose: Purpose::Rows,
                })
            }
            Kind::Explain {
                query: statement,
                analyze,
            } => {
                let plans = parameters::bind(scope.plan(*statement).await?, values)?;
                let plan = first_of(&plans)?;
                let logical = plan.display_indent().to_string();
                let first = self.engine.plan(&scope.state(), query.id, plan).await?;
                if analyze {
                    return Ok(Outcome::Query {
                        plans,
                        first,
                        purpose: Purpose::Analyze,
                    });
                }
                let rows = explain_rows(&[("logical_plan", &logical), ("physical_plan", &first.explain())])?;
                Ok(Outcome::Rows(rows))
            }
        }
    }

    fn pending(&self, outcome: Outcome, scope: Scope, query: &Arc<Query>) -> PendingResult {
        let query = Arc::clone(query);
        match outcome {
            Outcome::Done => {
                query.advance(QueryState::Finished);
                PendingResult {
                    query,
                    schema: Arc::new(Schema::empty()),
                    source: Source::Stored(Vec::new()),
                }
            }
            Outcome::Rows(rows) => {
                query.add_rows(rows.num_rows());
                query.advance(QueryState::Finished);
                PendingResult {
                    query,
                    schema: rows.schema(),
                    source: Source::Stored(vec![rows]),
                }
            }
            Outcome::Query { plans, first, purpose } => {
                query.advance(QueryState::Planned);
                let schema = match purpose {
                    // Where one row of parameters has a value, the next may have NULL.
                    Purpose::Rows if plans.len() > 1 => nullable_schema(&result_schema(&first.schema())),
                    Purpose::Rows => result_schema(&first.schema()),
                    Purpose::Analyze => explain_schema(),
                };
                let timeout = scope.statement_timeout;
                let run = Run {
                    engine: Arc::clone(&self.engine),
                    threads: self.threads.clone(),
                    state: Arc::new(scope.state()),
                    deadline: (Instant::now() + timeout, timeout),
                    query: Arc::clone(&query),
                    plans: plans.into_iter().map(Arc::new).collect(),
                    first,
                    purpose,
                };
                PendingResult {
                    query,
                    schema,
                    source: Source::Run(Box::new(run)),
                }
            }
        }
    }

    /// What a statement of this session sees now.
    async fn scope(&self, session: &Session) -> Result<Scope> {
        let snapshot = self.catalog.snapshot().await?;
        self.scope_at(session, snapshot)
    }

    fn scope_at(&self, session: &Session, snapshot: Arc<Snapshot>) -> Result<Scope> {
        let settings = session.settings();
        let default_schema = session.schema();
        let base = self.session_state(&settings, &default_schema)?;
        let names = NameRules {
            default_schema,
            normalize: base.config_options().sql_parser.enable_ident_normalization,
        };
        let view = CatalogView {
            catalog: Arc::clone(&self.catalog),
            snapshot,
            tables: Arc::clone(&self.tables),
            system: Arc::clone(&self.system),
            base: Arc::new(base),
            defining: None,
        };
        let statement_timeout = settings.statement_timeout(self.statement_timeout);
        Ok(Scope {
            view,
            names,
            settings,
            statement_timeout,
            limits: Arc::clone(&self.limits),
        })
    }

    fn session_state(&self, settings: &Settings, schema: &str) -> Result<SessionState> {
        let mut state = (self.base_state)();
        let options = state.config_mut().options_mut();
        options.catalog.default_catalog = CATALOG.to_owned();
        options.catalog.default_schema = schema.to_owned();
        // The catalog brings its own, which leaves out broken objects.
        options.catalog.information_schema = false;
        // Strings cross exchanges as they are (see the engine's options), so SQL makes plain ones, too.
        options.sql_parser.map_string_types_to_utf8view = false;
        // For errors that say where.
        options.sql_parser.collect_spans = true;
        settings.apply(options)?;
        Ok(state)
    }
}

/// A statement whose client goes away while it is planned is over.
struct AbandonGuard(Option<Arc<Query>>);

impl Drop for AbandonGuard {
    fn drop(&mut self) {
        if let Some(query) = &self.0 {
            query.fail(&Error::Cancelled);
        }
    }
}

async fn describe_one(statement: DfStatement, scope: &Scope) -> Result<Description> {
    let none = Arc::new(Schema::empty());
    match classify(statement)? {
        Kind::Command(_) => Ok(Description {
            schema: Arc::clone(&none),
            parameters: none,
            is_update: true,
        }),
        Kind::Show(show) => Ok(Description {
            schema: show::schema_of(&show),
            parameters: none,
            is_update: false,
        }),
        Kind::Query(query) => {
            let plan = scope.plan(*query).await?;
            let parameters = parameters::schema_of(&plan)?;
            let schema = result_schema(parameters::result_schema_of(plan)?.as_ref());
            Ok(Description {
                schema,
                parameters,
                is_update: false,
            })
        }
        Kind::Explain { query, .. } => {
            let plan = scope.plan(*query).await?;
            Ok(Description {
                schema: explain_schema(),
                parameters: parameters::schema_of(&plan)?,
                is_update: false,
            })
        }
    }
}

fn first_of(plans: &[LogicalPlan]) -> Result<LogicalPlan> {
    plans
        .first()
        .cloned()
        .ok_or_else(|| Error::invalid("no row of parameters was bound"))
}

/// Says which of several statements failed.
fn at(error: Error, number: usize, total: usize) -> Error {
    if total == 1 {
        return error;
    }
    match error {
        Error::Invalid(message) => Error::Invalid(format!("statement {number} of {total}: {message}")),
        Error::Unsupported(message) => Error::Unsupported(format!("statement {number} of {total}: {message}")),
        Error::Query(cause) => Error::Query(cause.context(format!("statement {number} of {total}"))),
        other => other,
    }
}
