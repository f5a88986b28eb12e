//! Results as text: a box table for a person, CSV or JSON for a program. CSV and JSON are written as the rows come.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::{Writer as CsvWriter, WriterBuilder as CsvBuilder};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::JsonArray;
use arrow::json::{Writer as JsonWriter, WriterBuilder as JsonBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, Table, presets};

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A box around columns; shows a bounded number of rows
    Table,
    /// Comma-separated values with a header line
    Csv,
    /// One JSON array of objects
    Json,
}

/// Writes one result. Call [`batch`](Self::batch) for its rows as they come, then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Renderer<W: Write> {
    form: Form<W>,
    rows: usize,
}

#[derive(Debug)]
enum Form<W: Write> {
    Table {
        out: W,
        schema: SchemaRef,
        table: Box<Table>,
        max_rows: usize,
    },
    Csv(Box<CsvWriter<W>>),
    Json(JsonWriter<W, JsonArray>),
}

/// How NULL looks in a table. In CSV it is an empty field, in JSON `null`.
const NULL: &str = "NULL";

impl<W: Write> Renderer<W> {
    /// Begins a result with these columns. A table shows `max_rows` rows at most; 0 means all.
    ///
    /// # Errors
    /// Writing fails.
    pub fn new(format: Format, schema: &SchemaRef, max_rows: usize, out: W) -> Result<Self, ArrowError> {
        let form = match format {
            Format::Table => {
                let max_rows = if max_rows == 0 { usize::MAX } else { max_rows };
                Form::Table {
                    out,
                    schema: Arc::clone(schema),
                    table: Box::new(empty_table(schema)),
                    max_rows,
                }
            }
            Format::Csv => {
                let mut writer = CsvBuilder::new().with_header(true).build(out);
                // The header is owed even if no row comes.
                writer.write(&RecordBatch::new_empty(Arc::clone(schema)))?;
                Form::Csv(Box::new(writer))
            }
            Format::Json => Form::Json(JsonBuilder::new().with_explicit_nulls(true).build(out)),
        };
        Ok(Self { form, rows: 0 })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// Writing fails, or a type has no text in this format.
    pub fn batch(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        match &mut self.form {
            Form::Table { table, max_rows, .. } => add_rows(table, batch, max_rows.saturating_sub(self.rows))?,
            Form::Csv(writer) => writer.write(batch)?,
            Form::Json(writer) => writer.write(batch)?,
        }
        self.rows += batch.num_rows();
        Ok(())
    }

    /// Ends the result and returns how many rows it had.
    ///
    /// # Errors
    /// Writing fails.
    pub fn finish(self) -> Result<usize, ArrowError> {
        match self.form {
            Form::Table {
                mut out,
                schema,
                table,
                max_rows,
            } => {
                if !schema.fields().is_empty() {
                    writeln!(out, "{table}")?;
                }
                write_footer(&mut out, self.rows, max_rows)?;
            }
            Form::Csv(writer) => writer.into_inner().flush()?,
            Form::Json(mut writer) => {
                writer.finish()?;
                let mut out = writer.into_inner();
                writeln!(out)?;
                out.flush()?;
            }
        }
        Ok(self.rows)
    }
}

fn write_footer(out: &mut impl Write, rows: usize, max_rows: usize) -> io::Result<()> {
    let noun = if rows == 1 { "row" } else { "rows" };
    if rows > max_rows {
        writeln!(out, "{rows} {noun}, the first {max_rows} shown (--max-rows, \\maxrows)")?;
    } else {
        writeln!(out, "{rows} {noun}")?;
    }
    out.flush()
}

fn empty_table(schema: &SchemaRef) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(schema.fields().iter().map(|field| Cell::new(field.name())));
    for (index, field) in schema.fields().iter().enumerate() {
        if is_number(field.data_type()) {
            table
                .column_mut(index)
                .expect("the header made one column per field")
                .set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

fn add_rows(table: &mut Table, batch: &RecordBatch, limit: usize) -> Result<(), ArrowError> {
    let options = FormatOptions::default().with_null(NULL).with_display_error(true);
    let columns = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options))
        .collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows().min(limit) {
        table.add_row(columns.iter().map(|column| Cell::new(column.value(row))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn sample() -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
        ]);
        let names = StringArray::from(vec![Some("a,b"), None]);
        RecordBatch::try_new(
            Arc::new(schema),
            vec![Arc::new(Int64Array::from(vec![1, 20])), Arc::new(names)],
        )
        .unwrap()
    }

    fn render(format: Format, max_rows: usize, batches: &[RecordBatch]) -> String {
        let mut out = Vec::new();
        let mut renderer = Renderer::new(format, &sample().schema(), max_rows, &mut out).unwrap();
        for batch in batches {
            renderer.batch(batch).unwrap();
        }
        renderer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_has_a_header_also_without_rows() {
        assert_eq!(
            render(Format::Csv, 0, &[sample(), sample()]),
            "n,name\n1,\"a,b\"\n20,\n1,\"a,b\"\n20,\n"
        );
        assert_eq!(render(Format::Csv, 0, &[]), "n,name\n");
    }

    #[test]
    fn json_is_one_array_with_explicit_nulls() {
        assert_eq!(
            render(Format::Json, 0, &[sample()]),
            "[{\"n\":1,\"name\":\"a,b\"},{\"n\":20,\"name\":null}]\n"
        );
        assert_eq!(render(Format::Json, 0, &[]), "[]\n");
    }

    #[test]
    fn a_table_aligns_numbers_right_and_counts_rows() {
        let text = render(Format::Table, 0, &[sample()]);
        assert!(text.contains("│  n ┆ name │"), "{text}");
        assert!(text.contains("│  1 ┆ a,b  │"), "{text}");
        assert!(text.contains("│ 20 ┆ NULL │"), "{text}");
        assert!(text.ends_with("2 rows\n"), "{text}");
    }

    #[test]
    fn a_table_says_what_it_does_not_show() {
        let text = render(Format::Table, 3, &[sample(), sample()]);
        assert!(
            text.ends_with("4 rows, the first 3 shown (--max-rows, \\maxrows)\n"),
            "{text}"
        );
        assert_eq!(text.matches("a,b").count(), 2);
    }
}
