//! Statements that change the catalog or the session. Each is done, durably, when its function returns.

use datafusion::logical_expr::{DdlStatement, LogicalPlan};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{CreateView, ObjectName, ObjectType, Statement};

use super::kind::Command;
use super::names::FullName;
use super::scope::Scope;
use super::write::{self, Dropping, managed_root};
use super::{alter, show, table};
use crate::catalog::providers::plan_view;
use crate::catalog::{Catalog, CatalogObject, INFORMATION_SCHEMA, IfExists, ObjectKind, SYSTEM_SCHEMA, View};
use crate::error::{Error, ErrorKind, Result};
use crate::guard;
use crate::session::Session;

/// Does what a command says.
///
/// # Errors
/// [`Error::AlreadyExists`], [`Error::NotFound`], [`Error::Invalid`], [`Error::Unsupported`] for clauses that are not
/// there yet, errors of planning, reading files, and the catalog.
pub(crate) async fn execute(command: &Command, scope: &Scope, session: &Session) -> Result<()> {
    let catalog = &scope.view.catalog;
    match command {
        Command::CreateTable(create) => {
            let name = scope.names.table(&create.name)?;
            let exists = if_exists(create.if_not_exists, create.or_replace)?;
            if exists == IfExists::Keep && has(scope, &name.schema, &name.object) {
                return Ok(());
            }
            let content = CatalogObject::Table {
                table: table::define(create, scope).await?,
            };
            let replaced = match exists {
                IfExists::Replace => managed_root(catalog, &name.schema, &name.object).await?,
                IfExists::Fail | IfExists::Keep => None,
            };
            let dropping = match replaced {
                Some(root) => Some(Dropping::note(&scope.writes, root).await?),
                None => None,
            };
            let created = catalog
                .create_object(&name.schema, &name.object, &content, exists, &session.user)
                .await;
            if let Some(dropping) = dropping {
                dropping.finish(&scope.writes).await;
            }
            created
        }
        Command::CreateManaged(create) => write::create_empty(&create.head, scope, session).await,
        Command::Truncate { names, if_exists } => truncate_all(names, *if_exists, scope).await,
        Command::CreateView(create) => create_view(create, scope, session).await,
        Command::CreateSchema { name, if_not_exists } => {
            catalog
                .create_schema(&scope.names.new_schema(name)?, *if_not_exists, &session.user)
                .await
        }
        Command::Drop {
            object_type,
            names,
            if_exists,
            cascade,
        } => drop_all(scope, *object_type, names, *if_exists, *cascade).await,
        Command::Use(schema) => use_schema(&scope.names.schema(schema)?, catalog, session).await,
        Command::UseCatalog(name) => session.set_catalog(&scope.names.schema(name)?),
        Command::Set { key, value } => session.change_settings(|settings| settings.set(key, value)),
        Command::Reset(key) => session.change_settings(|settings| settings.reset(key)),
        Command::ResetAll => session.change_settings(|settings| {
            settings.reset_all();
            Ok(())
        }),
        Command::Alter {
            kind,
            name,
            if_exists,
            alteration,
        } => {
            let altered = alter::execute(*kind, name, alteration, scope, session).await;
            let missing = matches!(&altered, Err(error) if error.kind() == ErrorKind::NotFound);
            if missing && *if_exists && !there(scope, name).await? {
                return Ok(());
            }
            altered
        }
        Command::Kill(query) => scope.view.system.cancel_query(query),
        Command::Refresh(table) => refresh(table.as_ref(), scope).await,
        Command::Nothing => Ok(()),
    }
}

/// Whether a table or view has that name now.
async fn there(scope: &Scope, name: &ObjectName) -> Result<bool> {
    let name = scope.names.table(name)?;
    let snapshot = scope.view.catalog.fresh_snapshot().await?;
    Ok(snapshot.version(&name.schema, &name.object).is_some())
}

/// Forgets what is known about the files of one or all tables. Files and partitions are looked up by each statement anyway.
async fn refresh(table: Option<&ObjectName>, scope: &Scope) -> Result<()> {
    scope.view.catalog.fresh_snapshot().await?;
    match table {
        None => scope.view.tables.forget_all(),
        Some(name) => {
            let (_, definition, _) = show::table(scope, name).await?;
            scope.view.tables.forget(&definition);
        }
    }
    Ok(())
}

/// Makes a schema the session's, if it exists.
///
/// # Errors
/// [`Error::NotFound`], errors of the catalog.
pub(crate) async fn use_schema(schema: &str, catalog: &Catalog, session: &Session) -> Result<()> {
    let built_in = schema == SYSTEM_SCHEMA || schema == INFORMATION_SCHEMA;
    if !built_in && !catalog.fresh_snapshot().await?.has_schema(schema) {
        return Err(Error::not_found("schema", schema));
    }
    session.set_schema(schema);
    Ok(())
}

pub(crate) fn has(scope: &Scope, schema: &str, object: &str) -> bool {
    scope.view.snapshot.version(schema, object).is_some()
}

pub(crate) fn if_exists(keep: bool, replace: bool) -> Result<IfExists> {
    match (keep, replace) {
        (true, true) => Err(Error::invalid("OR REPLACE and IF NOT EXISTS exclude each other")),
        (true, false) => Ok(IfExists::Keep),
        (false, true) => Ok(IfExists::Replace),
        (false, false) => Ok(IfExists::Fail),
    }
}

async fn create_view(create: &CreateView, scope: &Scope, session: &Session) -> Result<()> {
    if create.temporary || create.materialized {
        return Err(Error::Unsupported("CREATE TEMPORARY or MATERIALIZED VIEW".to_owned()));
    }
    let name = scope.names.table(&create.name)?;
    let exists = if_exists(create.if_not_exists, create.or_replace)?;
    let plain = CreateView {
        or_replace: false,
        if_not_exists: false,
        ..create.clone()
    };
    let stored = View {
        sql: Statement::CreateView(plain).to_string(),
        default_schema: scope.names.default_schema.clone(),
    };
    let mut scope = scope.clone();
    scope.view.defining = Some((name.schema.clone(), name.object.clone()));
    check_view(create, &stored, &scope).await?;
    scope
        .view
        .catalog
        .create_object(
            &name.schema,
            &name.object,
            &CatalogObject::View(stored),
            exists,
            &session.user,
        )
        .await
}

/// Plans a view as the session means it and as it will be planned later: both must be possible and mean the same columns.
async fn check_view(create: &CreateView, stored: &View, scope: &Scope) -> Result<()> {
    let statement = DfStatement::Statement(Box::new(Statement::CreateView(create.clone())));
    let LogicalPlan::Ddl(DdlStatement::CreateView(meant)) = scope.state().statement_to_plan(statement).await? else {
        return Err(Error::Internal("CREATE VIEW was planned as something else".to_owned()));
    };
    if !meant.input.get_parameter_names()?.is_empty() {
        return Err(Error::invalid("a view cannot have parameters"));
    }
    let later = plan_view(&scope.view, stored, 1).await?;
    guard::check_plan(&later, &scope.limits)?;
    if later.schema().as_arrow() != meant.input.schema().as_arrow() {
        let hint = "a session with its own datafusion.sql_parser settings cannot create this view; RESET them first";
        return Err(Error::invalid(format!(
            "the view's text means other columns outside of this session: {hint}"
        )));
    }
    Ok(())
}

async fn drop_all(
    scope: &Scope,
    object_type: ObjectType,
    names: &[ObjectName],
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    for name in names {
        match object_type {
            ObjectType::Table | ObjectType::View => {
                let kind = if object_type == ObjectType::Table {
                    ObjectKind::Table
                } else {
                    ObjectKind::View
                };
                drop_object(scope, &scope.names.table(name)?, kind, if_exists).await?;
            }
            ObjectType::Schema | ObjectType::Database => {
                drop_schema(scope, &scope.names.schema(name)?, if_exists, cascade).await?;
            }
            other => return Err(Error::Unsupported(format!("DROP {other}"))),
        }
    }
    Ok(())
}

/// Drops a table or view; the files of a managed table go with it.
async fn drop_object(scope: &Scope, name: &FullName, kind: ObjectKind, if_exists: bool) -> Result<()> {
    let catalog = &scope.view.catalog;
    let root = match kind {
        ObjectKind::Table => managed_root(catalog, &name.schema, &name.object).await?,
        ObjectKind::View => None,
    };
    let dropping = match root {
        Some(root) => Some(Dropping::note(&scope.writes, root).await?),
        None => None,
    };
    let dropped = catalog.drop_object(&name.schema, &name.object, kind, if_exists).await;
    if let Some(dropping) = dropping {
        dropping.finish(&scope.writes).await;
    }
    dropped
}

/// Drops a schema; with `cascade` the files of its managed tables go with it.
async fn drop_schema(scope: &Scope, schema: &str, if_exists: bool, cascade: bool) -> Result<()> {
    let catalog = &scope.view.catalog;
    let mut dropping = Vec::new();
    if cascade {
        let snapshot = catalog.fresh_snapshot().await?;
        for object in snapshot.objects(schema) {
            if let Some(root) = managed_root(catalog, schema, object).await? {
                dropping.push(Dropping::note(&scope.writes, root).await?);
            }
        }
    }
    let dropped = catalog.drop_schema(schema, if_exists, cascade).await;
    for table in dropping {
        table.finish(&scope.writes).await;
    }
    dropped
}

async fn truncate_all(names: &[ObjectName], if_exists: bool, scope: &Scope) -> Result<()> {
    for name in names {
        let name = scope.names.table(name)?;
        match write::writable(scope, &name).await {
            Ok(table) => write::truncate(&table, scope).await?,
            Err(Error::NotFound { .. }) if if_exists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
