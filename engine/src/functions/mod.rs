//! Functions that take the place of DataFusion's own, on both sides.
//!
//! Those whose result may be of any size have a cap, since DataFusion makes such values outside of the memory pool. The caps come with
//! the query ([`QuarryOptions`]).
//!
//! - `capped`: scalar functions; what their result would take is found out before anything is made
//! - `sizes`: how much that is
//! - `series`: `generate_series` and `range` as tables, with a cap on their rows
//! - `one_way`, `ignore_nulls`: window functions that mean the same on both sides

mod capped;
mod ignore_nulls;
mod one_way;
mod series;
mod sizes;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{ScalarUDF, WindowUDF};

use capped::Capped;
use ignore_nulls::IgnoreNulls;
pub use ignore_nulls::ignoring_nulls;
use one_way::OneWay;
use series::CappedSeries;
use sizes::Size;

use crate::session::QuarryOptions;

/// Functions with a cap, and how their result is measured.
const CAPPED: [(&str, Size); 8] = [
    ("repeat", Size::Repeat),
    ("lpad", Size::Pad),
    ("rpad", Size::Pad),
    ("range", Size::Range),
    ("generate_series", Size::Range),
    ("array_repeat", Size::Elements),
    ("array_resize", Size::Elements),
    ("replace", Size::Replace),
];
/// Table functions with a cap.
const SERIES: [&str; 2] = ["generate_series", "range"];

/// Window functions that would be reversed in a way that the wire does not tell.
const ONE_WAY: [&str; 3] = ["lag", "lead", "nth_value"];
/// Window functions that may ignore nulls.
const IGNORE_NULLS: [&str; 5] = ["lag", "lead", "first_value", "last_value", "nth_value"];

/// Puts our functions in the place of DataFusion's.
///
/// # Errors
/// None that is expected.
pub fn register_functions(state: &mut SessionState) -> Result<()> {
    for (name, size) in CAPPED {
        let Some(own) = state.scalar_functions().get(name).cloned() else {
            continue;
        };
        let capped = Capped::new(own.as_ref().clone(), size);
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(capped)))?;
    }
    for name in SERIES {
        let Some(own) = state.table_functions().get(name).cloned() else {
            continue;
        };
        state.register_udtf(name, Arc::new(CappedSeries::new(name, own)));
    }
    for name in ONE_WAY {
        let Some(own) = state.window_functions().get(name).cloned() else {
            continue;
        };
        let one_way = OneWay::new(own.as_ref().clone());
        state.register_udwf(Arc::new(WindowUDF::new_from_impl(one_way)))?;
    }
    for name in IGNORE_NULLS {
        let Some(own) = state.window_functions().get(name).cloned() else {
            continue;
        };
        let ignoring = IgnoreNulls::new(own.as_ref().clone());
        state.register_udwf(Arc::new(WindowUDF::new_from_impl(ignoring)))?;
    }
    Ok(())
}

/// The caps of a session; defaults where none came with the query.
fn caps(options: &datafusion::config::ConfigOptions) -> QuarryOptions {
    options.extensions.get::<QuarryOptions>().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::error::DataFusionError;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    fn context(value_bytes: u64, series_rows: u64) -> SessionContext {
        let caps = QuarryOptions {
            value_bytes,
            series_rows,
            ..QuarryOptions::default()
        };
        let config = SessionConfig::new().with_option_extension(caps);
        let mut state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(config)
            .build();
        register_functions(&mut state).unwrap();
        SessionContext::new_with_state(state)
    }

    async fn run(context: &SessionContext, sql: &str) -> Result<usize> {
        let batches = context.sql(sql).await?.collect().await?;
        Ok(batches.iter().map(|batch| batch.num_rows()).sum())
    }

    #[tokio::test]
    async fn what_fits_is_made() {
        let context = context(1000, 1000);
        for sql in [
            "select repeat('ab', 500)",
            "select repeat('ab', -5), repeat(null, 1000000), repeat('', 1000000)",
            "select lpad('a', 1000, 'xy'), rpad('a', 10)",
            "select range(100), generate_series(1, 10, 3), range(10, 0, -1), range(5, 1)",
            "select array_repeat(1, 100), array_resize([1, 2], 5, 0)",
            "select range(date '2020-01-01', date '2020-02-01', interval '1 day')",
            "select replace('abc', 'b', 'xyz')",
            "select repeat(x, 2) from (values ('a'), (null)) t(x)",
            "select * from generate_series(1, 1000)",
            "select * from range(0, 1000, 7)",
        ] {
            run(&context, sql)
                .await
                .unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_names_its_knob() {
        let context = context(1000, 1000);
        for (sql, knob) in [
            ("select repeat('ab', 501)", "limits.value_bytes"),
            ("select repeat('x', 1000000000000)", "limits.value_bytes"),
            (
                "select length(repeat(x, 600)) from (values ('a'), ('b')) t(x)",
                "limits.value_bytes",
            ),
            ("select lpad('a', 1001)", "limits.value_bytes"),
            ("select rpad('a', 2000000000, 'xy')", "limits.value_bytes"),
            ("select range(1000000000000000000)", "limits.value_bytes"),
            (
                "select generate_series(-9223372036854775807, 9223372036854775807)",
                "limits.value_bytes",
            ),
            ("select generate_series(0, -1000000, -1)", "limits.value_bytes"),
            ("select array_repeat(1, 1000000000000)", "limits.value_bytes"),
            ("select array_repeat(array_repeat(1, 100), 100)", "limits.value_bytes"),
            ("select array_resize([1], 1000000000)", "limits.value_bytes"),
            (
                "select range(timestamp '2020-01-01', timestamp '2021-01-01', interval '1 second')",
                "limits.value_bytes",
            ),
            (
                "select range(date '0001-01-01', date '9999-01-01', interval '1 day')",
                "limits.value_bytes",
            ),
            (
                "select replace(repeat('a', 100), 'a', repeat('b', 100))",
                "limits.value_bytes",
            ),
            ("select * from generate_series(1, 1001)", "limits.series_rows"),
            (
                "select * from generate_series(1, 1000000000000000000)",
                "limits.series_rows",
            ),
            ("select * from range(0, -5000, -1)", "limits.series_rows"),
            (
                "select * from generate_series(timestamp '2020-01-01', timestamp '2021-01-01', interval '1 second')",
                "limits.series_rows",
            ),
        ] {
            let error = run(&context, sql).await.expect_err(sql);
            assert!(error.to_string().contains(knob), "{sql}: {error}");
            assert!(
                matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)),
                "{sql}: {error:?}"
            );
        }
    }

    #[tokio::test]
    async fn results_are_datafusions() {
        let (capped, own) = (context(1 << 20, 1 << 20), SessionContext::new());
        for sql in [
            "select repeat('ab', 3), lpad('a', 4, 'xy'), rpad('a', 4), replace('abcabc', 'b', '')",
            "select range(1, 10, 3), generate_series(3, 1, -1), array_repeat('a', 2), array_resize([1], 3)",
            "select arrow_typeof(repeat('a', 1)), arrow_typeof(range(3)), list_repeat(1, 2), list_resize([1], 2)",
        ] {
            let rows = |batches: Vec<_>| {
                datafusion::arrow::util::pretty::pretty_format_batches(&batches)
                    .unwrap()
                    .to_string()
            };
            let found = rows(capped.sql(sql).await.unwrap().collect().await.unwrap());
            let expected = rows(own.sql(sql).await.unwrap().collect().await.unwrap());
            assert_eq!(found, expected, "{sql}");
        }
    }
}
