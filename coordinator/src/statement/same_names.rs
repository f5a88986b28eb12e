//! Columns of a result that share a name, as in `SELECT a, a FROM t` or `SELECT *, a FROM t`. DataFusion plans no SELECT with such columns.
//!
//! 1. A query is planned as it is. Only if that fails for its names, this module looks at it.
//! 2. Each later column of a name gets an alias of our own (`a#2`), in the outermost SELECT and in each arm of an outermost set operation.
//!    Names of expressions are the planner's: it plans the expression alone. A `*` that repeats columns is written out.
//! 3. The plan goes its way with the aliases, and the result's schema is shown with the names that were meant ([`renamed`]).
//!
//! Within a query, in a view or a table, a name is what a column is found by: there two of a name remain an error.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::common::{DFSchemaRef, SchemaError, TableReference};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, OrderBy, OrderByKind, Query, Select, SelectItem, SetExpr, SetQuantifier, Statement, With,
};

use super::scope::Scope;
use crate::error::{Error, Result};

/// Expressions of a SELECT whose names the planner is asked for; others are named by their text. Each costs a small plan.
const MAX_PROBES: usize = 200;

/// A planned query and the names of its columns.
#[derive(Debug)]
pub(crate) struct NamedPlan {
    /// The plan.
    pub(crate) plan: LogicalPlan,
    /// Names of the result's columns in order, where they are not those of the plan.
    pub(crate) names: Option<Names>,
}

/// Names of a result's columns in order.
pub(crate) type Names = Arc<[String]>;

/// `schema` under the names that its columns are to be shown with.
pub(crate) fn renamed(schema: SchemaRef, names: Option<&Names>) -> SchemaRef {
    let Some(names) = names.filter(|names| names.len() == schema.fields().len()) else {
        return schema;
    };
    let fields = schema.fields().iter().zip(names.iter());
    let fields: Vec<FieldRef> = fields
        .map(|(field, name)| Arc::new(field.as_ref().clone().with_name(name)))
        .collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Plans a query whose columns may share names.
///
/// # Errors
/// As [`Scope::plan`].
pub(crate) async fn plan(query: DfStatement, scope: &Scope) -> Result<NamedPlan> {
    let query = Box::new(query);
    match scope.plan(query.as_ref().clone()).await {
        Ok(plan) => Ok(NamedPlan { plan, names: None }),
        Err(error) if is_about_names(&error) => Box::pin(plan_apart(*query, error, scope)).await,
        Err(error) => Err(error),
    }
}

/// Plans it with names of its own for each column; `error` if names are not the trouble.
async fn plan_apart(query: DfStatement, error: Error, scope: &Scope) -> Result<NamedPlan> {
    let DfStatement::Statement(statement) = query else {
        return Err(error);
    };
    let Statement::Query(mut query) = *statement else {
        return Err(error);
    };
    let Some(names) = tell_apart(&mut query, scope).await? else {
        return Err(error);
    };
    let plan = scope.plan(statement_of(query)).await?;
    Ok(NamedPlan {
        plan,
        names: Some(names.into()),
    })
}

/// Whether planning failed for names that are there more than once.
pub(crate) fn is_about_names(error: &Error) -> bool {
    let Error::Query(error) = error else { return false };
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => matches!(
            **error,
            SchemaError::DuplicateQualifiedField { .. }
                | SchemaError::DuplicateUnqualifiedField { .. }
                | SchemaError::AmbiguousReference { .. }
        ),
        DataFusionError::Plan(text) => text.contains("require unique expression names"),
        _ => false,
    }
}

/// Gives the columns of `query` names of their own. The names that were meant, or `None` if names are not the trouble.
///
/// # Errors
/// [`Error::Invalid`] if the order of the rows names one of two different columns.
pub(crate) async fn tell_apart(query: &mut Query, scope: &Scope) -> Result<Option<Vec<String>>> {
    let Query {
        with, body, order_by, ..
    } = query;
    let Some(mut selects) = selects_of(body) else {
        return Ok(None);
    };
    let mut names = None;
    for select in &mut selects {
        let Some(columns) = Prober::new(with.as_ref(), select, scope).columns(select).await else {
            return Ok(None);
        };
        // The names are those of the first arm.
        if names.is_none() {
            check_order(order_by.as_ref(), select, &columns, scope)?;
        }
        let found = rewrite(select, columns);
        names.get_or_insert(found);
    }
    Ok(names)
}

/// The outermost SELECTs: one, or the arms of a set operation. `None` if one is something else, or arms are matched by name.
fn selects_of(body: &mut SetExpr) -> Option<Vec<&mut Select>> {
    match body {
        SetExpr::Select(select) => Some(vec![select.as_mut()]),
        SetExpr::Query(query) if query.with.is_none() => selects_of(&mut query.body),
        SetExpr::SetOperation {
            left,
            right,
            set_quantifier: SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None,
            ..
        } => {
            let mut selects = selects_of(left)?;
            selects.extend(selects_of(right)?);
            Some(selects)
        }
        _ => None,
    }
}

/// One column of a wildcard.
type Qualified = (Option<TableReference>, String);

/// What an item of a SELECT gives.
#[derive(Debug)]
enum Columns {
    /// One column of that name.
    One(String),
    /// The columns of a wildcard.
    Wildcard(Vec<Qualified>),
}

/// Asks the planner what items of one SELECT are called.
struct Prober<'a> {
    scope: &'a Scope,
    /// The SELECT with nothing but its sources.
    bare: Query,
    known: HashMap<String, String>,
}

impl<'a> Prober<'a> {
    fn new(with: Option<&With>, select: &Select, scope: &'a Scope) -> Self {
        let bare = Select {
            distinct: None,
            top: None,
            projection: Vec::new(),
            prewhere: None,
            selection: None,
            connect_by: Vec::new(),
            group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
            cluster_by: Vec::new(),
            distribute_by: Vec::new(),
            sort_by: Vec::new(),
            having: None,
            qualify: None,
            ..select.clone()
        };
        let bare = Query {
            with: with.cloned(),
            body: Box::new(SetExpr::Select(Box::new(bare))),
            order_by: None,
            limit_clause: None,
            fetch: None,
            locks: Vec::new(),
            for_clause: None,
            settings: None,
            format_clause: None,
            pipe_operators: Vec::new(),
        };
        Self {
            scope,
            bare,
            known: HashMap::new(),
        }
    }

    /// What each item gives; `None` if that cannot be told.
    async fn columns(mut self, select: &Select) -> Option<Vec<Columns>> {
        let mut columns = Vec::new();
        for item in &select.projection {
            columns.push(match item {
                SelectItem::ExprWithAlias { alias, .. } => Columns::One(self.scope.names.ident(alias)),
                SelectItem::UnnamedExpr(Expr::Identifier(name)) => Columns::One(self.scope.names.ident(name)),
                SelectItem::UnnamedExpr(expression) => Columns::One(self.name(expression).await?),
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                    let schema = self.schema(item.clone()).await?;
                    let columns = schema
                        .iter()
                        .map(|(table, field)| (table.cloned(), field.name().clone()));
                    Columns::Wildcard(columns.collect())
                }
                SelectItem::ExprWithAliases { .. } => return None,
            });
        }
        Some(columns)
    }

    /// The planner's name for an expression; its text where it stands only with the rest of the SELECT.
    async fn name(&mut self, expression: &Expr) -> Option<String> {
        let text = expression.to_string();
        if let Some(name) = self.known.get(&text) {
            return Some(name.clone());
        }
        let schema = if self.known.len() < MAX_PROBES {
            self.schema(SelectItem::UnnamedExpr(expression.clone())).await
        } else {
            None
        };
        let name = match schema {
            None => text.clone(),
            // A struct that is unnested gives a column for each of its fields.
            Some(schema) if schema.fields().len() != 1 => return None,
            Some(schema) => schema.field(0).name().clone(),
        };
        self.known.insert(text, name.clone());
        Some(name)
    }

    /// Columns of the SELECT with `item` alone.
    async fn schema(&mut self, item: SelectItem) -> Option<DFSchemaRef> {
        let mut query = self.bare.clone();
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection = vec![item];
        }
        let plan = self.scope.plan(statement_of(Box::new(query))).await.ok()?;
        Some(Arc::clone(plan.schema()))
    }
}

fn statement_of(query: Box<Query>) -> DfStatement {
    DfStatement::Statement(Box::new(Statement::Query(query)))
}

/// Puts aliases where columns would have a name that is taken. The names that were meant.
fn rewrite(select: &mut Select, columns: Vec<Columns>) -> Vec<String> {
    let mut names = Vec::new();
    let mut aliases = Aliases::new(&columns);
    let mut items = Vec::new();
    for (item, columns) in std::mem::take(&mut select.projection).into_iter().zip(columns) {
        match columns {
            Columns::One(name) => {
                items.push(match aliases.of(&name) {
                    None => item,
                    Some(alias) => aliased(item, alias),
                });
                names.push(name);
            }
            Columns::Wildcard(columns) => {
                names.extend(columns.iter().map(|(_, name)| name.clone()));
                if aliases.repeat(&columns) {
                    let written_out = columns.iter().map(|column| aliases.written_out(column));
                    items.extend(written_out.collect::<Vec<_>>());
                } else {
                    items.push(item);
                }
            }
        }
    }
    select.projection = items;
    names
}

/// Which names are taken.
struct Aliases {
    /// Names of all columns.
    all: HashSet<String>,
    /// Names that wildcards give.
    wild: HashSet<String>,
    /// Columns that wildcards gave so far.
    given: HashSet<Qualified>,
    /// Names and aliases of expressions so far.
    taken: HashSet<String>,
}

impl Aliases {
    fn new(columns: &[Columns]) -> Self {
        let (mut all, mut wild) = (HashSet::new(), HashSet::new());
        for columns in columns {
            match columns {
                Columns::One(name) => drop(all.insert(name.clone())),
                Columns::Wildcard(columns) => wild.extend(columns.iter().map(|(_, name)| name.clone())),
            }
        }
        all.extend(wild.iter().cloned());
        Self {
            all,
            wild,
            given: HashSet::new(),
            taken: HashSet::new(),
        }
    }

    /// The alias for an expression called `name`, if it needs one.
    fn of(&mut self, name: &str) -> Option<Ident> {
        if !self.wild.contains(name) && self.taken.insert(name.to_owned()) {
            return None;
        }
        Some(self.fresh(name))
    }

    fn fresh(&mut self, name: &str) -> Ident {
        let aliases = (2..).map(|number| format!("{name}#{number}"));
        let mut free = aliases.filter(|alias| !self.all.contains(alias) && !self.taken.contains(alias));
        let alias = free.next().unwrap_or_default();
        self.taken.insert(alias.clone());
        Ident::with_quote('"', alias)
    }

    /// Notes the columns of a wildcard. Whether one of them was there before.
    fn repeat(&mut self, columns: &[Qualified]) -> bool {
        let repeats = columns.iter().any(|column| self.given.contains(column));
        if !repeats {
            self.given.extend(columns.iter().cloned());
        }
        repeats
    }

    fn written_out(&mut self, (table, name): &Qualified) -> SelectItem {
        let column = Ident::with_quote('"', name);
        let expr = match table {
            None => Expr::Identifier(column),
            Some(table) => {
                let parts = table.to_vec().into_iter().map(|part| Ident::with_quote('"', part));
                Expr::CompoundIdentifier(parts.chain([column]).collect())
            }
        };
        let alias = self.fresh(name);
        SelectItem::ExprWithAlias { expr, alias }
    }
}

fn aliased(item: SelectItem, alias: Ident) -> SelectItem {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            SelectItem::ExprWithAlias { expr, alias }
        }
        other => other,
    }
}

/// Refuses an order by a name that two different columns were given.
fn check_order(order: Option<&OrderBy>, select: &Select, columns: &[Columns], scope: &Scope) -> Result<()> {
    let Some(OrderBy {
        kind: OrderByKind::Expressions(expressions),
        ..
    }) = order
    else {
        return Ok(());
    };
    for expression in expressions {
        let Expr::Identifier(name) = &expression.expr else {
            continue;
        };
        let name = scope.names.ident(name);
        let items = select.projection.iter().zip(columns);
        let of_name = items.filter(|(_, columns)| matches!(columns, Columns::One(one) if *one == name));
        let different: HashSet<String> = of_name.filter_map(|(item, _)| expression_of(item)).collect();
        if different.len() > 1 {
            return Err(Error::invalid(format!(
                "ORDER BY {name}: several columns of the result have that name; order by a position, such as ORDER BY 1"
            )));
        }
    }
    Ok(())
}

fn expression_of(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.to_string()),
        _ => None,
    }
}
