//! From SQL text to rows, plans and changes: the dispatcher.
//!
//! ```text
//! text ─ parse (limits, tokens, `?`) ─ kind (query? show? command?) ─┬─ query:   planned now, runs when fetched
//!                                                                   ├─ show:    rows from the catalog, now
//!                                                                   ├─ analyze: a query, run now; its row is stored
//!                                                                   ├─ command: done now, exactly once
//!                                                                   └─ write:   a query run now, its rows committed
//! ```
//!
//! Everything that recurses over a statement happens on a planning thread. DataFusion plans queries; what it would change by
//! itself (tables in memory, files on the server) never reaches it.

mod alter;
mod analyze;
mod command;
mod create;
mod kind;
mod listing;
mod names;
mod own;
mod parameter_types;
mod parameters;
mod parse;
mod same_names;
mod scope;
mod show;
mod sql_type;
mod table;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use quarry_engine::formats::Tables;
use quarry_engine::id::QueryId;

use analyze::Analysis;
pub(crate) use command::use_schema;
use kind::{Kind, classify};
use names::NameRules;
use parse::Parsed;
use same_names::{NamedPlan, Names, renamed};
use scope::Scope;
pub use write::{Ingest, IngestMode};
use write::{Job, Planned};

use crate::catalog::providers::CatalogView;
use crate::catalog::{CATALOG, Catalog, Snapshot};
use crate::config::StatementLimits;
use crate::error::{Error, ErrorKind, Result};
use crate::execution::{Attempt, SharedEngine};
use crate::guard;
use crate::pattern::Like;
use crate::planning_thread::PlanningThreads;
use crate::query::run::{explain_rows, explain_schema};
use crate::query::{PendingResult, Purpose, Query, QueryRegistry, QueryState, Run, Source};
use crate::session::Session;
use crate::settings::Settings;
use crate::system::SystemTables;
use crate::wire_types::{nullable_schema, result_schema};
use crate::writes::Writes;

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
    /// What statements that write share.
    pub(crate) writes: Arc<Writes>,
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

/// How far a text has got.
enum Step {
    /// To its end.
    Done(PendingResult, Ending),
    /// To a write that is to run, away from the planning threads, before the rest.
    Write {
        job: Box<Job>,
        /// Position of the statement in the text.
        index: usize,
        /// Statements in the text.
        total: usize,
    },
}

/// What a planned statement turned into.
enum Outcome {
    Write(Box<Job>),
    Query {
        plans: Vec<LogicalPlan>,
        names: Option<Names>,
        first: Box<dyn Attempt>,
        purpose: Purpose,
    },
    Rows(RecordBatch),
    Analysis {
        analysis: Box<Analysis>,
        plan: LogicalPlan,
        first: Box<dyn Attempt>,
    },
    Done,
}

/// What is to be done with a result.
enum Ending {
    /// Its rows wait to be fetched.
    Query,
    /// Nothing: all is done.
    Command,
    /// Its rows are a table's statistics.
    Analysis(Box<Analysis>),
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
        let result = self.submit_steps(session, sql, values, &query).await;
        abandoned.0 = None;
        result.map_err(|error| {
            query.fail(&error);
            FailedStatement { query: query.id, error }
        })
    }

    /// Runs what does not wait to be fetched. The second value says whether the statement was a command.
    async fn end(&self, pending: PendingResult, ending: Ending) -> Result<(PendingResult, bool)> {
        let analysis = match ending {
            Ending::Query => return Ok((pending, false)),
            Ending::Command => return Ok((pending, true)),
            Ending::Analysis(analysis) => analysis,
        };
        let Source::Run(run) = pending.source else {
            return Err(Error::Internal("ANALYZE is no query".to_owned()));
        };
        let mut rows = run.start();
        let mut batches = Vec::new();
        while let Some(batch) = rows.recv().await {
            batches.push(batch?);
        }
        analysis.finish(&batches, &self.catalog).await?;
        Ok((done(pending.query), true))
    }

    /// From write to write: what is between them happens on planning threads, the writes themselves here.
    async fn submit_steps(
        self: &Arc<Self>,
        session: &Arc<Session>,
        sql: &str,
        values: Option<RecordBatch>,
        query: &Arc<Query>,
    ) -> Result<(PendingResult, bool)> {
        let mut from = 0;
        loop {
            let work = {
                let (this, session, sql, query) =
                    (Arc::clone(self), Arc::clone(session), sql.to_owned(), Arc::clone(query));
                let values = values.clone();
                move || async move { this.submit_from(from, &session, &sql, values, &query).await }
            };
            let step = tokio::select! {
                biased;
                () = query.cancel.cancelled() => Err(Error::Cancelled),
                result = self.threads.run(work) => result,
            };
            match step? {
                Step::Done(pending, ending) => {
                    return tokio::select! {
                        biased;
                        () = query.cancel.cancelled() => Err(Error::Cancelled),
                        result = self.end(pending, ending) => result,
                    };
                }
                Step::Write { job, index, total } => {
                    let last = index + 1 == total;
                    let rows = self.write(*job, query).await;
                    let rows = rows.map_err(|error| at(error, index + 1, total))?;
                    if last {
                        query.add_rows(usize::try_from(rows).unwrap_or(usize::MAX));
                        return Ok((done(Arc::clone(query)), true));
                    }
                    from = index + 1;
                }
            }
        }
    }

    /// Runs a write to its end, whatever becomes of its client meanwhile: cancelling the query is the way to stop it.
    async fn write(&self, job: Job, query: &Arc<Query>) -> Result<u64> {
        let mut abandoned = CancelGuard(Some(Arc::clone(query)));
        let task = tokio::spawn(job.perform());
        let result = task.await;
        abandoned.0 = None;
        result.map_err(|error| Error::Internal(format!("a write ended without a word: {error}")))?
    }

    /// Writes rows that a client sends; the number of rows. Nothing is visible unless all are.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::AlreadyExists`], [`Error::Invalid`] for rows that do not fit, those of `rows` and of the write.
    pub async fn write_batches(
        self: &Arc<Self>,
        session: &Arc<Session>,
        ingest: Ingest,
        rows: SendableRecordBatchStream,
    ) -> Result<u64, FailedStatement> {
        let text = format!("ingest into {:?}", ingest.table);
        let query = self.queries.begin(session.id, &session.user, &text);
        let query = query.map_err(|error| FailedStatement {
            query: QueryId::draw(),
            error,
        })?;
        let mut abandoned = AbandonGuard(Some(Arc::clone(&query)));
        let result = self.ingest(session, ingest, rows, &query).await;
        abandoned.0 = None;
        match result {
            Ok(rows) => {
                query.add_rows(usize::try_from(rows).unwrap_or(usize::MAX));
                query.advance(QueryState::Finished);
                Ok(rows)
            }
            Err(error) => {
                query.fail(&error);
                Err(FailedStatement { query: query.id, error })
            }
        }
    }

    async fn ingest(
        self: &Arc<Self>,
        session: &Arc<Session>,
        ingest: Ingest,
        rows: SendableRecordBatchStream,
        query: &Arc<Query>,
    ) -> Result<u64> {
        self.catalog.fresh_snapshot().await?;
        let scope = self.scope(session).await?;
        let (this, user, planning) = (Arc::clone(self), session.user.clone(), Arc::clone(query));
        let work = move || async move {
            let planned = write::plan_ingest(&ingest, rows, &scope, &user).await?;
            this.job(planned, &scope, None, &planning).await
        };
        let job = self.threads.run(work).await?;
        self.write(job, query).await
    }

    /// Plans the first attempt of a write.
    async fn job(
        &self,
        planned: Planned,
        scope: &Scope,
        values: Option<&RecordBatch>,
        query: &Arc<Query>,
    ) -> Result<Job> {
        // A text may write more than once: each statement has a name of its own.
        let statement = QueryId::draw();
        let (plan, target) = planned.bind(values, statement)?;
        let first = self.engine.plan(&scope.state(), query.id, plan.clone()).await?;
        let timeout = scope.statement_timeout;
        let run = Run {
            engine: Arc::clone(&self.engine),
            threads: self.threads.clone(),
            state: Arc::new(scope.state()),
            deadline: (Instant::now() + timeout, timeout),
            query: Arc::clone(query),
            plans: vec![Arc::new(plan)],
            first,
            purpose: Purpose::Rows,
        };
        Ok(Job::new(target, run, statement, scope))
    }

    /// Everything that handles a statement's syntax, from parsing to planning: on a planning thread, for even a copy of it recurses.
    /// The statements before `from` have been executed.
    async fn submit_from(
        &self,
        from: usize,
        session: &Arc<Session>,
        sql: &str,
        values: Option<RecordBatch>,
        query: &Arc<Query>,
    ) -> Result<Step> {
        let statements = parse::parse(sql, &self.limits)?;
        let total = statements.len();
        let mut values = values;
        for (index, statement) in statements.into_iter().enumerate().skip(from) {
            let last = index + 1 == total;
            let values = if last { values.take() } else { None };
            let result = self.execute(session, statement, values, query, last).await;
            match result.map_err(|error| at(error, index + 1, total))? {
                None => {}
                Some(Executed::Result(pending, ending)) => return Ok(Step::Done(pending, ending)),
                Some(Executed::Write(job)) => return Ok(Step::Write { job, index, total }),
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
        statement: Parsed,
        values: Option<RecordBatch>,
        query: &Arc<Query>,
        last: bool,
    ) -> Result<Option<Executed>> {
        let kind = classify(statement.clone())?;
        let is_write = matches!(kind, Kind::Write(_));
        let is_command = is_write || matches!(kind, Kind::Command(_));
        if !is_command && !last {
            let what = if matches!(kind, Kind::Analyze(_)) {
                "ANALYZE before the last statement of a text"
            } else {
                "a query before the last statement of a text (nobody would get its rows)"
            };
            return Err(Error::Unsupported(what.to_owned()));
        }
        let scope = self.scope(session).await?;
        let mut outcome = self.outcome(session, &scope, kind, values.as_ref(), query).await;
        let may_repeat = is_write || !is_command;
        if may_repeat && matches!(&outcome, Err(error) if error.kind() == ErrorKind::NotFound) {
            self.catalog.fresh_snapshot().await?;
            let scope = self.scope(session).await?;
            outcome = self
                .outcome(session, &scope, classify(statement)?, values.as_ref(), query)
                .await;
        }
        match outcome? {
            Outcome::Write(job) => Ok(Some(Executed::Write(job))),
            outcome => Ok(last.then(|| {
                let (pending, ending) = self.pending(outcome, scope, query);
                Executed::Result(pending, ending)
            })),
        }
    }

    async fn outcome(
        &self,
        session: &Session,
        scope: &Scope,
        kind: Kind,
        values: Option<&RecordBatch>,
        query: &Arc<Query>,
    ) -> Result<Outcome> {
        match kind {
            Kind::Write(write) => match write::plan(write, scope, &session.user).await? {
                Some(planned) => Ok(Outcome::Write(Box::new(self.job(planned, scope, values, query).await?))),
                None => Ok(Outcome::Done),
            },
            Kind::Command(command) => {
                command::execute(&command, scope, session).await?;
                Ok(Outcome::Done)
            }
            Kind::ExplainWrite(write) => {
                let planned = write::plan(write, scope, &session.user).await?;
                let planned = planned.ok_or_else(|| Error::invalid("EXPLAIN: the statement would do nothing"))?;
                let (plan, _) = planned.bind(values, query.id)?;
                let logical = plan.display_indent().to_string();
                let first = self.engine.plan(&scope.state(), query.id, plan).await?;
                let rows = explain_rows(&[("logical_plan", &logical), ("physical_plan", &first.explain())])?;
                Ok(Outcome::Rows(rows))
            }
            Kind::Show(show) => Ok(Outcome::Rows(show::rows(&show, scope).await?)),
            Kind::Analyze(analyze) => {
                let analysis = Box::new(Analysis::begin(&analyze, scope).await?);
                let plan = scope.plan(analysis.query()?).await?;
                let first = self.engine.plan(&scope.state(), query.id, plan.clone()).await?;
                Ok(Outcome::Analysis { analysis, plan, first })
            }
            Kind::Query(statement) => {
                let NamedPlan { plan, names } = same_names::plan(*statement, scope).await?;
                let plans = parameters::bind(plan, values)?;
                let first = self.engine.plan(&scope.state(), query.id, first_of(&plans)?).await?;
                Ok(Outcome::Query {
                    plans,
                    names,
                    first,
                    purpose: Purpose::Rows,
                })
            }
            Kind::Explain {
                query: statement,
                analyze,
            } => {
                let plans = parameters::bind(same_names::plan(*statement, scope).await?.plan, values)?;
                let plan = first_of(&plans)?;
                let logical = plan.display_indent().to_string();
                let first = self.engine.plan(&scope.state(), query.id, plan).await?;
                if analyze {
                    return Ok(Outcome::Query {
                        plans,
                        names: None,
                        first,
                        purpose: Purpose::Analyze,
                    });
                }
                let rows = explain_rows(&[("logical_plan", &logical), ("physical_plan", &first.explain())])?;
                Ok(Outcome::Rows(rows))
            }
        }
    }

    fn pending(&self, outcome: Outcome, scope: Scope, query: &Arc<Query>) -> (PendingResult, Ending) {
        match outcome {
            // A write has become a job before.
            Outcome::Done | Outcome::Write(_) => (done(Arc::clone(query)), Ending::Command),
            Outcome::Rows(rows) => {
                query.add_rows(rows.num_rows());
                query.advance(QueryState::Finished);
                let pending = PendingResult {
                    query: Arc::clone(query),
                    schema: rows.schema(),
                    source: Source::Stored(vec![rows]),
                };
                (pending, Ending::Query)
            }
            Outcome::Query {
                plans,
                names,
                first,
                purpose,
            } => {
                let mut pending = self.planned(plans, first, purpose, scope, query);
                pending.schema = renamed(pending.schema, names.as_ref());
                (pending, Ending::Query)
            }
            Outcome::Analysis { analysis, plan, first } => {
                let pending = self.planned(vec![plan], first, Purpose::Rows, scope, query);
                (pending, Ending::Analysis(analysis))
            }
        }
    }

    /// A query that is planned and not begun.
    fn planned(
        &self,
        plans: Vec<LogicalPlan>,
        first: Box<dyn Attempt>,
        purpose: Purpose,
        scope: Scope,
        query: &Arc<Query>,
    ) -> PendingResult {
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
            query: Arc::clone(query),
            plans: plans.into_iter().map(Arc::new).collect(),
            first,
            purpose,
        };
        PendingResult {
            query: Arc::clone(query),
            schema,
            source: Source::Run(Box::new(run)),
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
            writes: Arc::clone(&self.writes),
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
        guard::set_caps(options, &self.limits);
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

/// What became of one statement.
enum Executed {
    Result(PendingResult, Ending),
    Write(Box<Job>),
}

/// A write whose client goes away is stopped, if it is not being committed.
struct CancelGuard(Option<Arc<Query>>);

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if let Some(query) = &self.0 {
            query.cancel.cancel();
        }
    }
}

/// The result of a command.
fn done(query: Arc<Query>) -> PendingResult {
    query.advance(QueryState::Finished);
    PendingResult {
        query,
        schema: Arc::new(Schema::empty()),
        source: Source::Stored(Vec::new()),
    }
}

async fn describe_one(statement: Parsed, scope: &Scope) -> Result<Description> {
    let none = Arc::new(Schema::empty());
    match classify(statement)? {
        Kind::Write(write) => Ok(Description {
            schema: none,
            parameters: match write::plan(write, scope, "").await? {
                Some(planned) => planned.parameters()?,
                None => Arc::new(Schema::empty()),
            },
            is_update: true,
        }),
        Kind::Command(_) | Kind::Analyze(_) => Ok(Description {
            schema: Arc::clone(&none),
            parameters: none,
            is_update: true,
        }),
        Kind::ExplainWrite(write) => Ok(Description {
            schema: explain_schema(),
            parameters: match write::plan(write, scope, "").await? {
                Some(planned) => planned.parameters()?,
                None => none,
            },
            is_update: false,
        }),
        Kind::Show(show) => Ok(Description {
            schema: show::schema_of(&show),
            parameters: none,
            is_update: false,
        }),
        Kind::Query(query) => {
            let NamedPlan { plan, names } = same_names::plan(*query, scope).await?;
            let parameters = parameters::schema_of(&plan)?;
            let schema = result_schema(parameters::result_schema_of(plan)?.as_ref());
            Ok(Description {
                schema: renamed(schema, names.as_ref()),
                parameters,
                is_update: false,
            })
        }
        Kind::Explain { query, .. } => {
            let NamedPlan { plan, .. } = same_names::plan(*query, scope).await?;
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
