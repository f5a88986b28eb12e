//! `CREATE EXTERNAL TABLE`: from the statement to a definition and back to its text.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{CreateExternalTable as Plan, DdlStatement, LogicalPlan};
use datafusion::sql::parser::{CreateExternalTable, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{ColumnDef, Ident, ObjectName};
use quarry_engine::files::Location;
use quarry_engine::formats::{Inference, TableDefinition, TableFormat};

use super::names::FullName;
use super::scope::Scope;
use crate::error::{Error, Result};
use crate::wire_types::plain_schema;

/// Makes the definition of a table; what the statement does not say about its columns is read from its files.
///
/// # Errors
/// [`Error::Unsupported`] for clauses and formats that are not there yet, [`Error::Invalid`] for a location that is not
/// `hdfs://` or options that mean nothing, errors met while reading the files.
pub(crate) async fn define(create: &CreateExternalTable, scope: &Scope) -> Result<TableDefinition> {
    refuse_clauses(create)?;
    let format = TableFormat::parse(&create.file_type).ok_or_else(|| unknown_format(&create.file_type))?;
    let [location] = create.locations.as_slice() else {
        return Err(Error::Unsupported("a table with several locations".to_owned()));
    };
    let location = Location::parse(location)?.to_string();
    let plan = plan(create, &scope.view.base).await?;
    let options = plan.options.into_iter().collect();
    let inference = Inference {
        format,
        location: &location,
        options: &options,
    };
    let partitions = scope.names.columns(&plan.table_partition_cols);
    let columns = columns_of(plan.schema.as_arrow(), &partitions, inference, scope).await?;
    let definition = TableDefinition {
        partition_columns: columns.partition_names(),
        options,
        ..TableDefinition::new(format, location, columns.schema())
    };
    check(&definition, scope)?;
    Ok(definition)
}

fn unknown_format(name: &str) -> Error {
    let names = TableFormat::ALL.map(|format| format.name()).join(", ");
    Error::Unsupported(format!("STORED AS {name} ({names} are)"))
}

/// Reads the options of a definition: a table that cannot be opened is not created.
pub(super) fn check(definition: &TableDefinition, scope: &Scope) -> Result<()> {
    definition.check(scope.view.base.as_ref())?;
    scope.view.tables.open(definition)?;
    Ok(())
}

/// Columns as SQL declares them.
///
/// # Errors
/// If a type is unknown.
pub(super) async fn columns(columns: &[ColumnDef], scope: &Scope) -> Result<Vec<Arc<Field>>> {
    let create = CreateExternalTable {
        name: ObjectName::from(vec![Ident::new("t")]),
        columns: columns.to_vec(),
        file_type: TableFormat::Parquet.name().to_owned(),
        locations: vec!["hdfs:///".to_owned()],
        table_partition_cols: Vec::new(),
        order_exprs: Vec::new(),
        if_not_exists: false,
        or_replace: false,
        temporary: false,
        unbounded: false,
        options: Vec::new(),
        constraints: Vec::new(),
    };
    let plan = plan(&create, &scope.view.base).await?;
    Ok(plain_schema(plan.schema.as_arrow()).fields().iter().cloned().collect())
}

/// Columns of a table: those in files and those of partitions.
struct Columns {
    of_files: SchemaRef,
    partitions: Vec<FieldRef>,
}

impl Columns {
    fn schema(&self) -> SchemaRef {
        let fields = self.of_files.fields().iter().chain(&self.partitions).cloned();
        stored_schema(&Schema::new(fields.collect::<Vec<_>>()))
    }

    fn partition_names(&self) -> Vec<String> {
        self.partitions.iter().map(|column| column.name().clone()).collect()
    }
}

/// Combines what is declared with what is found.
///
/// | declared columns | `PARTITIONED BY` | columns in files | partition columns |
/// |---|---|---|---|
/// | yes | yes | as declared, without those of partitions | as declared |
/// | yes | no | as declared | none |
/// | no | typed | found | as declared |
/// | no | untyped | found | found, if the directories have them |
/// | no | no | found | found |
async fn columns_of(
    declared: &Schema,
    partitions: &[String],
    inference: Inference<'_>,
    scope: &Scope,
) -> Result<Columns> {
    let (named, of_files): (Vec<FieldRef>, Vec<FieldRef>) = declared
        .fields()
        .iter()
        .cloned()
        .partition(|field| partitions.contains(field.name()));
    let files = scope.view.tables.files();
    if !of_files.is_empty() {
        return Ok(Columns {
            of_files: Arc::new(Schema::new(of_files)),
            partitions: in_order(partitions, &named, &[])?,
        });
    }
    let found = inference.columns(files, scope.view.base.as_ref()).await?;
    let chosen = if partitions.is_empty() {
        found.partitions.clone()
    } else {
        in_order(partitions, &named, &found.partitions)?
    };
    let kept = found.file_schema.fields().iter();
    let kept = kept.filter(|field| !chosen.iter().any(|column| column.name() == field.name()));
    Ok(Columns {
        of_files: Arc::new(Schema::new(kept.cloned().collect::<Vec<_>>())),
        partitions: chosen,
    })
}

/// Partition columns in the order of the clause; one without a type has the type that was found.
fn in_order(names: &[String], declared: &[FieldRef], found: &[FieldRef]) -> Result<Vec<FieldRef>> {
    let field = |name: &String| {
        let known = declared.iter().chain(found).find(|field| field.name() == name);
        known.cloned().ok_or_else(|| {
            Error::invalid(format!(
                "partition column {name} has no type, and no directory {name}=... tells one; write PARTITIONED BY ({name} TYPE)"
            ))
        })
    };
    names.iter().map(field).collect()
}

/// Columns as tables have them: plain types, no metadata of the files they were read from.
pub(crate) fn stored_schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(plain_schema(schema).fields().clone()))
}

pub(crate) fn refuse_clauses(create: &CreateExternalTable) -> Result<()> {
    let clauses = [
        ("CREATE TEMPORARY TABLE", create.temporary),
        ("CREATE UNBOUNDED EXTERNAL TABLE", create.unbounded),
        ("WITH ORDER", !create.order_exprs.is_empty()),
        ("a table constraint", !create.constraints.is_empty()),
    ];
    match clauses.into_iter().find(|(_, present)| *present) {
        Some((clause, _)) => Err(Error::Unsupported(clause.to_owned())),
        None => Ok(()),
    }
}

/// Lets DataFusion read columns and options. The state sees no catalog: the name may be that of a broken table.
pub(crate) async fn plan(create: &CreateExternalTable, base: &SessionState) -> Result<Plan> {
    match base
        .statement_to_plan(DfStatement::CreateExternalTable(create.clone()))
        .await?
    {
        LogicalPlan::Ddl(DdlStatement::CreateExternalTable(plan)) => Ok(*plan),
        _ => Err(Error::Internal(
            "CREATE EXTERNAL TABLE was planned as something else".to_owned(),
        )),
    }
}

/// The statement that would make the table again. Column types that SQL has no name for are left to inference.
pub(crate) fn create_text(name: &FullName, table: &TableDefinition) -> String {
    let (schema, object) = (quoted(&name.schema, '"'), quoted(&name.object, '"'));
    let mut text = format!("CREATE EXTERNAL TABLE {schema}.{object}");
    if let Some(columns) = columns_text(&table.schema) {
        let _ = write!(text, " ({columns})");
    }
    let _ = write!(text, " STORED AS {}", table.format.name());
    if !table.partition_columns.is_empty() {
        let names = table.partition_columns.iter().map(|name| quoted(name, '"'));
        let _ = write!(text, " PARTITIONED BY ({})", names.collect::<Vec<_>>().join(", "));
    }
    let _ = write!(text, " LOCATION {}", quoted(&table.location, '\''));
    if !table.options.is_empty() {
        let options = table
            .options
            .iter()
            .map(|(key, value)| format!("{} {}", quoted(key, '\''), quoted(value, '\'')));
        let _ = write!(text, " OPTIONS ({})", options.collect::<Vec<_>>().join(", "));
    }
    text
}

fn columns_text(schema: &Schema) -> Option<String> {
    let columns = schema.fields().iter().map(|field| {
        let null = if field.is_nullable() { "" } else { " NOT NULL" };
        Some(format!(
            "{} {}{null}",
            quoted(field.name(), '"'),
            super::sql_type::name(field.data_type())?
        ))
    });
    Some(columns.collect::<Option<Vec<_>>>()?.join(", "))
}

/// Text between quotes, as SQL reads it back.
pub(super) fn quoted(text: &str, quote: char) -> String {
    let doubled = text.replace(quote, &format!("{quote}{quote}"));
    format!("{quote}{doubled}{quote}")
}
