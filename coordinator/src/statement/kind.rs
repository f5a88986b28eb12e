//! What a statement is: a query, something to show, a command. Decided on its syntax alone.

use datafusion::sql::parser::{
    CopyToStatement, CreateExternalTable, ExplainStatement, ResetStatement, Statement as DfStatement,
};
use datafusion::sql::sqlparser::ast::{
    ColumnDef, CreateView, Expr, HiveDescribeFormat, Ident, Insert, ObjectName, ObjectType, Query, Reset, SchemaName,
    Set, SetExpr, ShowCreateObject, ShowStatementFilter, ShowStatementFilterPosition, ShowStatementOptions, Statement,
    Use, Value,
};

use super::create::CreateTable;
use super::own::Own;
use super::parse::Parsed;
use crate::catalog::ObjectKind;
use crate::error::{Error, Result};

/// A statement, sorted by who handles it.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Planned by DataFusion, run by the engine.
    Query(Box<DfStatement>),
    /// The engine's plan for a query, as rows.
    Explain {
        /// The query.
        query: Box<DfStatement>,
        /// Whether it runs.
        analyze: bool,
    },
    /// Rows from the catalog or the session.
    Show(Show),
    /// Computes a table's statistics and stores them.
    Analyze(Analyze),
    /// Changes catalog or session; runs at once and returns no rows.
    Command(Command),
    /// Runs a query whose rows are written; at once, too.
    Write(Write),
    /// The engine's plan for a write, as rows. Nothing is written.
    ExplainWrite(Write),
}

/// Statements that write the rows of a query.
#[derive(Debug)]
pub(crate) enum Write {
    /// `INSERT`.
    Insert(Box<Insert>),
    /// `CREATE TABLE ... AS`.
    Create(Box<CreateTable>),
    /// `COPY ... TO`.
    Copy(Box<CopyToStatement>),
}

/// `ANALYZE TABLE`.
#[derive(Debug, Clone)]
pub(crate) struct Analyze {
    /// The table.
    pub(crate) table: ObjectName,
    /// Columns to look at; all, if there are none.
    pub(crate) columns: Option<Vec<Ident>>,
}

/// What `SHOW BLOCKS` looks at.
#[derive(Debug, Clone)]
pub(crate) enum Blocks {
    /// The files of a table.
    Table(ObjectName),
    /// A file or all files below a directory.
    Path(String),
}

/// Statements that show something.
#[derive(Debug, Clone)]
pub(crate) enum Show {
    /// `SHOW CATALOGS`.
    Catalogs,
    /// `SHOW SCHEMAS`, `SHOW DATABASES`.
    Schemas(Option<Pattern>),
    /// `SHOW TABLES`, `SHOW VIEWS`.
    Tables {
        /// `FROM schema`.
        schema: Option<ObjectName>,
        /// `LIKE`.
        pattern: Option<Pattern>,
        /// Only views.
        only_views: bool,
    },
    /// `SHOW COLUMNS FROM t`.
    Columns {
        /// The table.
        table: ObjectName,
        /// `LIKE`.
        pattern: Option<Pattern>,
    },
    /// `DESCRIBE t`.
    Describe(ObjectName),
    /// `DESCRIBE EXTENDED t`, `DESCRIBE FORMATTED t`.
    DescribeExtended(ObjectName),
    /// `SHOW PARTITIONS t`.
    Partitions(ObjectName),
    /// `SHOW TABLE STATS t`.
    TableStats(ObjectName),
    /// `SHOW STATS FOR t`, `SHOW COLUMN STATS t`.
    ColumnStats(ObjectName),
    /// `SHOW BLOCKS OF t`, `SHOW BLOCKS OF '/path'`.
    Blocks(Blocks),
    /// `DESCRIBE SELECT ...`.
    DescribeQuery(Box<DfStatement>),
    /// `SHOW CREATE TABLE t`, `SHOW CREATE VIEW v`.
    Create(ObjectName),
    /// `SHOW SETTINGS`, `SHOW ALL`.
    Settings,
    /// `SHOW some.setting`.
    Setting(String),
}

/// A `LIKE` pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// With `%` and `_`.
    pub(crate) text: String,
    /// `ILIKE`.
    pub(crate) ignore_case: bool,
}

/// What `ALTER TABLE ... SET` changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OptionKind {
    /// `OPTIONS`: how files are read.
    Options,
    /// `TBLPROPERTIES`: anything a user wants to note.
    Properties,
}

/// What `ALTER` does.
#[derive(Debug, Clone)]
pub(crate) enum Alteration {
    /// `RENAME TO`.
    Rename(ObjectName),
    /// `ADD COLUMN`.
    AddColumns {
        /// The new columns.
        columns: Vec<ColumnDef>,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
    },
    /// `SET (...)`.
    Set {
        /// Which list.
        kind: OptionKind,
        /// Keys and values.
        pairs: Vec<(String, String)>,
    },
    /// `UNSET (...)`.
    Unset {
        /// Which list.
        kind: OptionKind,
        /// Keys.
        keys: Vec<String>,
        /// `IF EXISTS`: a key that is not set is no error.
        if_exists: bool,
    },
}

/// Statements that change something.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// `CREATE EXTERNAL TABLE`.
    CreateTable(Box<CreateExternalTable>),
    /// `CREATE TABLE` without a query: a managed table without rows.
    CreateManaged(Box<CreateTable>),
    /// `TRUNCATE TABLE`.
    Truncate {
        /// The tables.
        names: Vec<ObjectName>,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `CREATE VIEW`.
    CreateView(Box<CreateView>),
    /// `CREATE SCHEMA`, `CREATE DATABASE`.
    CreateSchema {
        /// Its name.
        name: SchemaName,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
    },
    /// `DROP TABLE`, `DROP VIEW`, `DROP SCHEMA`, `DROP DATABASE`.
    Drop {
        /// What kind of thing.
        object_type: ObjectType,
        /// Their names.
        names: Vec<ObjectName>,
        /// `IF EXISTS`.
        if_exists: bool,
        /// `CASCADE`.
        cascade: bool,
    },
    /// `USE schema`, `USE catalog.schema`.
    Use(ObjectName),
    /// `USE CATALOG c`.
    UseCatalog(ObjectName),
    /// `SET key = value`.
    Set {
        /// The key.
        key: String,
        /// The value as text.
        value: String,
    },
    /// `RESET key`.
    Reset(String),
    /// `RESET ALL`.
    ResetAll,
    /// `ALTER TABLE`, `ALTER VIEW`.
    Alter {
        /// What kind of thing.
        kind: ObjectKind,
        /// Its name.
        name: ObjectName,
        /// `IF EXISTS`.
        if_exists: bool,
        /// What is done.
        alteration: Alteration,
    },
    /// `KILL QUERY 'id'`.
    Kill(String),
    /// `REFRESH t`, `INVALIDATE METADATA`, `MSCK REPAIR TABLE t`: forget what is known of one or all tables' files.
    Refresh(Option<ObjectName>),
    /// `BEGIN`, `COMMIT`, `ROLLBACK`: each statement is a transaction of its own.
    Nothing,
}

/// Sorts a statement.
///
/// # Errors
/// [`Error::Unsupported`], naming the statement.
pub(crate) fn classify(statement: Parsed) -> Result<Kind> {
    match statement {
        Parsed::CreateTable(create) if create.query.is_some() => Ok(Kind::Write(Write::Create(create))),
        Parsed::CreateTable(create) => Ok(Kind::Command(Command::CreateManaged(create))),
        Parsed::Own(Own::Show(show)) => Ok(Kind::Show(show)),
        Parsed::Own(Own::Command(command)) => Ok(Kind::Command(command)),
        Parsed::Own(Own::Analyze(analyze)) => Ok(Kind::Analyze(analyze)),
        Parsed::Sql(statement) => classify_sql(statement),
    }
}

fn classify_sql(statement: DfStatement) -> Result<Kind> {
    match statement {
        DfStatement::CreateExternalTable(create) => Ok(Kind::Command(Command::CreateTable(Box::new(create)))),
        DfStatement::Explain(ExplainStatement { options, statement }) => {
            let analyze = options.analyze;
            match classify_sql(*statement)? {
                Kind::Query(query) => Ok(Kind::Explain { query, analyze }),
                Kind::Write(write) if !analyze => Ok(Kind::ExplainWrite(write)),
                Kind::Write(_) => Err(unsupported("EXPLAIN ANALYZE of a statement that writes")),
                _ => Err(unsupported("EXPLAIN of anything but a query")),
            }
        }
        DfStatement::Reset(ResetStatement::Variable(name)) => Ok(Kind::Command(match dotted(&name) {
            all if all.eq_ignore_ascii_case("all") => Command::ResetAll,
            key => Command::Reset(key),
        })),
        DfStatement::CopyTo(copy) => Ok(Kind::Write(Write::Copy(Box::new(copy)))),
        DfStatement::Statement(statement) => classify_ansi(*statement),
    }
}

fn classify_ansi(statement: Statement) -> Result<Kind> {
    let kind = match statement {
        Statement::Query(query) => return classify_query(query),
        statement @ Statement::ShowFunctions { .. } => {
            Kind::Query(Box::new(DfStatement::Statement(Box::new(statement))))
        }
        Statement::CreateView(view) => Kind::Command(Command::CreateView(Box::new(view))),
        Statement::CreateSchema {
            schema_name,
            if_not_exists,
            ..
        } => Kind::Command(Command::CreateSchema {
            name: schema_name,
            if_not_exists,
        }),
        Statement::CreateDatabase {
            db_name, if_not_exists, ..
        } => Kind::Command(Command::CreateSchema {
            name: SchemaName::Simple(db_name),
            if_not_exists,
        }),
        Statement::Drop {
            object_type,
            if_exists,
            names,
            cascade,
            ..
        } => Kind::Command(Command::Drop {
            object_type,
            names,
            if_exists,
            cascade,
        }),
        Statement::Insert(insert) => Kind::Write(Write::Insert(Box::new(insert))),
        Statement::Truncate(truncate) if truncate.partitions.is_some() => {
            return Err(unsupported(
                "TRUNCATE of a partition (INSERT OVERWRITE ... PARTITION is)",
            ));
        }
        Statement::Truncate(truncate) => Kind::Command(Command::Truncate {
            names: truncate.table_names.into_iter().map(|target| target.name).collect(),
            if_exists: truncate.if_exists,
        }),
        Statement::Use(target) => Kind::Command(classify_use(target)?),
        Statement::Set(set) => Kind::Command(classify_set(set)?),
        Statement::Reset(reset) => Kind::Command(match reset.reset {
            Reset::ALL => Command::ResetAll,
            Reset::ConfigurationParameter(name) => Command::Reset(dotted(&name)),
        }),
        Statement::StartTransaction { .. } | Statement::Commit { .. } | Statement::Rollback { .. } => {
            Kind::Command(Command::Nothing)
        }
        other => return classify_show(other),
    };
    Ok(kind)
}

/// The parser wraps statements that change data in queries, too: `WITH ... INSERT`.
fn classify_query(query: Box<Query>) -> Result<Kind> {
    if let Some(change) = changes_data(&query.body) {
        return Err(unsupported(change));
    }
    Ok(Kind::Query(Box::new(DfStatement::Statement(Box::new(
        Statement::Query(query),
    )))))
}

fn changes_data(body: &SetExpr) -> Option<&'static str> {
    match body {
        SetExpr::Insert(_) => Some("INSERT"),
        SetExpr::Update(_) => Some("UPDATE"),
        SetExpr::Delete(_) => Some("DELETE"),
        SetExpr::Merge(_) => Some("MERGE"),
        SetExpr::Select(select) if select.into.is_some() => Some("SELECT INTO"),
        SetExpr::Query(query) => changes_data(&query.body),
        _ => None,
    }
}

fn classify_use(target: Use) -> Result<Command> {
    match target {
        Use::Object(name) | Use::Schema(name) | Use::Database(name) => Ok(Command::Use(name)),
        Use::Catalog(name) => Ok(Command::UseCatalog(name)),
        Use::Default => Ok(Command::Use(ObjectName::from(vec![Ident::new(
            crate::catalog::DEFAULT_SCHEMA,
        )]))),
        Use::Warehouse(_) | Use::Role(_) | Use::SecondaryRoles(_) => Err(unsupported("USE WAREHOUSE or ROLE")),
    }
}

fn classify_set(set: Set) -> Result<Command> {
    match set {
        Set::SingleAssignment {
            variable,
            values,
            hivevar: false,
            ..
        } => match values.as_slice() {
            [value] => Ok(Command::Set {
                key: dotted(&variable),
                value: text_of(value),
            }),
            _ => Err(Error::invalid(format!("SET {variable}: expected one value"))),
        },
        Set::SetTimeZone { value, .. } => Ok(Command::Set {
            key: "timezone".to_owned(),
            value: text_of(&value),
        }),
        _ => Err(unsupported("this form of SET (expected SET key = value)")),
    }
}

fn classify_show(statement: Statement) -> Result<Kind> {
    let show = match statement {
        Statement::ShowCatalogs { .. } => Show::Catalogs,
        Statement::ShowSchemas { show_options, .. } | Statement::ShowDatabases { show_options, .. } => {
            Show::Schemas(pattern(&show_options)?)
        }
        Statement::ShowTables { show_options, .. } => tables(&show_options, false)?,
        Statement::ShowViews {
            show_options,
            materialized: false,
            ..
        } => tables(&show_options, true)?,
        Statement::ShowColumns { show_options, .. } => {
            let table =
                parent(&show_options).ok_or_else(|| Error::invalid("SHOW COLUMNS: expected FROM and a table"))?;
            Show::Columns {
                table,
                pattern: pattern(&show_options)?,
            }
        }
        Statement::ShowCreate {
            obj_type: ShowCreateObject::Table | ShowCreateObject::View,
            obj_name,
        } => Show::Create(obj_name),
        Statement::ExplainTable {
            table_name,
            hive_format: Some(HiveDescribeFormat::Extended | HiveDescribeFormat::Formatted),
            ..
        } => Show::DescribeExtended(table_name),
        Statement::ExplainTable { table_name, .. } => Show::Describe(table_name),
        Statement::Explain {
            statement,
            analyze: false,
            ..
        } => match classify_ansi(*statement)? {
            Kind::Query(query) => Show::DescribeQuery(query),
            _ => return Err(unsupported("DESCRIBE of anything but a table or a query")),
        },
        Statement::ShowVariable { variable } => return classify_variable(&variable),
        other => return Err(unsupported(first_words(&other))),
    };
    Ok(Kind::Show(show))
}

/// `SHOW word` is a setting, except for the words that mean a list.
fn classify_variable(variable: &[Ident]) -> Result<Kind> {
    let words: Vec<&str> = variable.iter().map(|ident| ident.value.as_str()).collect();
    let name = words.join(".");
    match name.to_ascii_lowercase().as_str() {
        "all" | "settings" => Ok(Kind::Show(Show::Settings)),
        "queries" | "sessions" | "tasks" | "workers" => system_table(&name.to_ascii_lowercase()),
        "nodes" => system_table("workers"),
        _ => Ok(Kind::Show(Show::Setting(name))),
    }
}

fn system_table(table: &str) -> Result<Kind> {
    let sql = format!("SELECT * FROM quarry.system.{table}");
    let statements = super::parse::parse(&sql, &crate::config::StatementLimits::default())?;
    match statements.into_iter().next() {
        Some(Parsed::Sql(query)) => Ok(Kind::Query(Box::new(query))),
        _ => Err(Error::Internal("no query".to_owned())),
    }
}

fn tables(options: &ShowStatementOptions, only_views: bool) -> Result<Show> {
    Ok(Show::Tables {
        schema: parent(options),
        pattern: pattern(options)?,
        only_views,
    })
}

fn parent(options: &ShowStatementOptions) -> Option<ObjectName> {
    options.show_in.as_ref().and_then(|show_in| show_in.parent_name.clone())
}

fn pattern(options: &ShowStatementOptions) -> Result<Option<Pattern>> {
    let filter = match &options.filter_position {
        None => return Ok(None),
        Some(ShowStatementFilterPosition::Infix(filter) | ShowStatementFilterPosition::Suffix(filter)) => filter,
    };
    match filter {
        ShowStatementFilter::Like(text) | ShowStatementFilter::NoKeyword(text) => Ok(Some(Pattern {
            text: text.clone(),
            ignore_case: false,
        })),
        ShowStatementFilter::ILike(text) => Ok(Some(Pattern {
            text: text.clone(),
            ignore_case: true,
        })),
        ShowStatementFilter::Where(_) => Err(unsupported(
            "SHOW ... WHERE (LIKE is; information_schema answers everything else)",
        )),
    }
}

fn dotted(name: &ObjectName) -> String {
    let parts = name.0.iter().map(|part| {
        part.as_ident()
            .map_or_else(|| part.to_string(), |ident| ident.value.clone())
    });
    parts.collect::<Vec<_>>().join(".")
}

fn text_of(value: &Expr) -> String {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        Expr::Identifier(ident) => ident.value.clone(),
        other => other.to_string(),
    }
}

/// The keywords that a statement begins with, for "not supported" messages.
fn first_words(statement: &Statement) -> String {
    let text = statement.to_string();
    let keywords = text
        .split_whitespace()
        .take_while(|word| word.chars().all(|c| c.is_ascii_uppercase()));
    let words: Vec<&str> = keywords.take(3).collect();
    if words.is_empty() {
        "this statement".to_owned()
    } else {
        words.join(" ")
    }
}

fn unsupported(what: impl Into<String>) -> Error {
    Error::Unsupported(what.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::parse::parse;
    use super::*;
    use crate::config::StatementLimits;

    fn kind(sql: &str) -> Result<Kind> {
        classify(parse(sql, &StatementLimits::default()).unwrap().pop_front().unwrap())
    }

    #[test]
    fn queries_are_queries() {
        for sql in [
            "select 1",
            "values (1)",
            "with a as (select 1) select * from a",
            "(select 1) union select 2",
            "show functions",
        ] {
            assert!(matches!(kind(sql), Ok(Kind::Query(_))), "{sql}");
        }
        assert!(matches!(
            kind("explain select 1"),
            Ok(Kind::Explain { analyze: false, .. })
        ));
        assert!(matches!(
            kind("explain analyze verbose select 1"),
            Ok(Kind::Explain { analyze: true, .. })
        ));
    }

    #[test]
    fn show_and_describe() {
        for sql in [
            "show tables",
            "show tables from s like 'a%'",
            "show schemas",
            "show databases",
            "show columns from t",
            "describe t",
        ] {
            assert!(matches!(kind(sql), Ok(Kind::Show(_))), "{sql}: {:?}", kind(sql));
        }
        for sql in [
            "describe select 1",
            "show all",
            "show datafusion.execution.batch_size",
            "show create table t",
            "desc s.t",
            "describe extended t",
            "describe formatted s.t",
            "show partitions t",
            "show stats for t",
            "show stats of t",
            "show table stats t",
            "show column stats s.t",
            "show blocks of t",
            "show blocks for table s.t",
            "show blocks of '/a/b'",
        ] {
            assert!(matches!(kind(sql), Ok(Kind::Show(_))), "{sql}: {:?}", kind(sql));
        }
        for sql in [
            "show queries",
            "show tasks",
            "show workers",
            "show nodes",
            "show sessions",
        ] {
            assert!(matches!(kind(sql), Ok(Kind::Query(_))), "{sql}");
        }
    }

    #[test]
    fn statistics_are_computed() {
        for (sql, columns) in [
            ("analyze table t", None),
            ("analyze t compute statistics", None),
            ("analyze table t compute statistics for columns", None),
            ("analyze table t compute statistics for all columns", None),
            ("analyze table t compute statistics for columns a, b", Some(2)),
            ("analyze t (a)", Some(1)),
            ("compute stats s.t", None),
            ("compute stats t (a, b)", Some(2)),
        ] {
            let Ok(Kind::Analyze(analyze)) = kind(sql) else {
                panic!("{sql}")
            };
            assert_eq!(analyze.columns.map(|columns| columns.len()), columns, "{sql}");
        }
    }

    #[test]
    fn commands() {
        for sql in [
            "create external table t stored as parquet location 'hdfs:///t'",
            "create or replace view v (a) as select 1",
            "create schema if not exists s",
            "create database s",
            "drop table if exists a, b",
            "drop schema s cascade",
            "use s",
            "set datafusion.execution.batch_size = 10",
            "set time zone '+01:00'",
            "reset datafusion.execution.batch_size",
            "create table t (a int) stored as csv",
            "truncate table t",
            "reset all",
            "begin",
            "start transaction",
            "commit",
            "rollback",
            "kill query '1'",
            "cancel query '1'",
            "refresh t",
            "refresh table s.t",
            "invalidate metadata",
            "msck repair table t",
            "msck repair table t sync partitions",
            "alter table t rename to u",
            "alter table if exists t add column a int",
            "alter table t add columns (a int, b varchar)",
            "alter table t set tblproperties ('a' = 'b', c.d = 1)",
            "alter table t set options ('delimiter' '|')",
            "alter table t set (a 'b')",
            "alter table t unset tblproperties if exists ('a')",
            "alter view v rename to w",
        ] {
            assert!(matches!(kind(sql), Ok(Kind::Command(_))), "{sql}: {:?}", kind(sql));
        }
    }

    #[test]
    fn writes() {
        for sql in [
            "insert into t values (1)",
            "insert overwrite table t partition (a = 1, b) select 1",
            "insert overwrite t select 1",
            "copy t to 'hdfs:///x.csv'",
            "copy (select 1) to 'hdfs:///x' stored as parquet partitioned by (a)",
            "create table t as select 1",
            "create or replace table t partitioned by (a) as (select 1)",
        ] {
            assert!(matches!(kind(sql), Ok(Kind::Write(_))), "{sql}: {:?}", kind(sql));
        }
        let explained = kind("explain insert into t select 1");
        assert!(matches!(explained, Ok(Kind::ExplainWrite(_))), "{explained:?}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (sql, word) in [
            ("with a as (select 1) insert into t select * from a", "INSERT"),
            ("delete from t", "DELETE"),
            ("update t set a = 1", "UPDATE"),
            ("truncate table t partition (a = 1)", "TRUNCATE"),
            ("select 1 into t", "SELECT INTO"),
            ("explain analyze insert into t values (1)", "EXPLAIN ANALYZE"),
            ("grant select on t to u", "GRANT"),
            ("prepare p as select 1", "PREPARE"),
        ] {
            let error = kind(sql).unwrap_err();
            assert!(
                matches!(error, Error::Unsupported(_)) && error.to_string().contains(word),
                "{sql}: {error}"
            );
        }
    }
}
