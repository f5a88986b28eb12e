//! `GetSqlInfo`: what the server can do, in the codes of the Arrow format.
//!
//! JDBC asks for all codes at once and stumbles over one that is missing, one it does not know, or one in another child of the union than it
//! expects: so exactly the format's 91 are answered, each in the child that the clients read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow_flight::sql::SqlInfo as Code;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use datafusion::logical_expr::ScalarUDF;

use crate::error::{Error, Result};

/// Version of the Arrow columnar format that is spoken.
const ARROW_FORMAT_VERSION: &str = "1.5";

/// Words that are reserved or mean something in our SQL, beyond SQL-92's.
const KEYWORDS: &[&str] = &[
    "ANALYZE",
    "ANTI",
    "ASOF",
    "BOOLEAN",
    "CUBE",
    "DATABASES",
    "DESCRIBE",
    "EXCLUDE",
    "EXPLAIN",
    "EXTERNAL",
    "FILTER",
    "GROUPING",
    "IF",
    "ILIKE",
    "LATERAL",
    "LIMIT",
    "LOCATION",
    "NULLS",
    "OFFSET",
    "OPTIONS",
    "OVER",
    "PARTITION",
    "QUALIFY",
    "RECURSIVE",
    "RENAME",
    "REPLACE",
    "RESET",
    "RETURNING",
    "ROLLUP",
    "SEMI",
    "SETS",
    "SHOW",
    "STORED",
    "TABLES",
    "TABLESAMPLE",
    "UNBOUNDED",
    "UNNEST",
    "USE",
    "VIEWS",
    "WINDOW",
    "WITHIN",
];

/// Flags: true.
const TRUE: &[Code] = &[
    Code::FlightSqlServerSql,
    Code::FlightSqlServerCancel,
    Code::SqlDdlSchema,
    Code::SqlDdlTable,
    Code::SqlAllTablesAreSelectable,
    Code::SqlSupportsColumnAliasing,
    Code::SqlNullPlusNullIsNull,
    Code::SqlSupportsTableCorrelationNames,
    Code::SqlSupportsDifferentTableCorrelationNames,
    Code::SqlSupportsExpressionsInOrderBy,
    Code::SqlSupportsOrderByUnrelated,
    Code::SqlSupportsLikeEscapeClause,
    Code::SqlSupportsNonNullableColumns,
    Code::SqlCatalogAtStart,
    Code::SqlCorrelatedSubqueriesSupported,
    Code::SqlBatchUpdatesSupported,
    Code::FlightSqlServerBulkIngestion,
];

/// Flags: false.
const FALSE: &[Code] = &[
    Code::FlightSqlServerReadOnly,
    Code::FlightSqlServerSubstrait,
    Code::FlightSqlServerIngestTransactionsSupported,
    Code::SqlDdlCatalog,
    Code::SqlSupportsIntegrityEnhancementFacility,
    Code::SqlSelectForUpdateSupported,
    Code::SqlStoredProceduresSupported,
    Code::SqlMaxRowSizeIncludesBlobs,
    Code::SqlTransactionsSupported,
    Code::SqlDataDefinitionCausesTransactionCommit,
    Code::SqlDataDefinitionsInTransactionsIgnored,
    Code::SqlSavepointsSupported,
    Code::SqlNamedParametersSupported,
    Code::SqlLocatorsUpdateCopy,
    Code::SqlStoredFunctionsUsingCallSyntaxSupported,
];

/// Numbers and bit masks. The format's plain 32-bit integers travel in the bit mask's child, too.
const INTEGERS: &[(Code, i32)] = &[
    // No transactions; no timeouts that a client could rely on.
    (Code::FlightSqlServerTransaction, 0),
    (Code::FlightSqlServerStatementTimeout, 0),
    (Code::FlightSqlServerTransactionTimeout, 0),
    // Unquoted names are lower-cased; quoted ones keep their case ("1" by convention); NULLs sort high.
    (Code::SqlIdentifierCase, 3),
    (Code::SqlQuotedIdentifierCase, 1),
    (Code::SqlNullOrdering, 0),
    // GROUP BY: unrelated, beyond the select list.
    (Code::SqlSupportedGroupBy, 0b11),
    (Code::SqlSupportedGrammar, 0b111),
    // SQL-92 entry and intermediate.
    (Code::SqlAnsi92SupportedLevel, 0b011),
    // Outer joins: limited and full.
    (Code::SqlOuterJoinsSupportLevel, 0b110),
    (Code::SqlSchemasSupportedActions, 0),
    (Code::SqlCatalogsSupportedActions, 0),
    (Code::SqlSupportedPositionedCommands, 0),
    // Subqueries: in comparisons, EXISTS, IN, quantified; UNION and UNION ALL.
    (Code::SqlSupportedSubqueries, 0b1111),
    (Code::SqlSupportedUnions, 0b11),
    // Isolation: none. Result sets: forward only, read only.
    (Code::SqlSupportedTransactionsIsolationLevels, 0b1),
    (Code::SqlSupportedResultSetTypes, 0b10),
    (Code::SqlSupportedConcurrenciesForResultSetUnspecified, 0),
    (Code::SqlSupportedConcurrenciesForResultSetForwardOnly, 0b10),
    (Code::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0),
    (Code::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0),
];

/// Limits as 64-bit integers, all 0: none known. JDBC reads the default isolation level as one of them.
const UNLIMITED: &[Code] = &[
    Code::SqlMaxBinaryLiteralLength,
    Code::SqlMaxCharLiteralLength,
    Code::SqlMaxColumnNameLength,
    Code::SqlMaxColumnsInGroupBy,
    Code::SqlMaxColumnsInIndex,
    Code::SqlMaxColumnsInOrderBy,
    Code::SqlMaxColumnsInSelect,
    Code::SqlMaxColumnsInTable,
    Code::SqlMaxConnections,
    Code::SqlMaxCursorNameLength,
    Code::SqlMaxIndexLength,
    Code::SqlDbSchemaNameLength,
    Code::SqlMaxProcedureNameLength,
    Code::SqlMaxCatalogNameLength,
    Code::SqlMaxRowSize,
    Code::SqlMaxStatementLength,
    Code::SqlMaxStatements,
    Code::SqlMaxTableNameLength,
    Code::SqlMaxTablesInSelect,
    Code::SqlMaxUsernameLength,
    Code::SqlDefaultTransactionIsolation,
];

/// Texts.
const TEXTS: &[(Code, &str)] = &[
    (Code::FlightSqlServerName, "Quarry"),
    (Code::FlightSqlServerVersion, env!("CARGO_PKG_VERSION")),
    (Code::FlightSqlServerArrowVersion, ARROW_FORMAT_VERSION),
    (Code::FlightSqlServerSubstraitMinVersion, ""),
    (Code::FlightSqlServerSubstraitMaxVersion, ""),
    (Code::SqlIdentifierQuoteChar, "\""),
    (Code::SqlSearchStringEscape, "\\"),
    (Code::SqlExtraNameCharacters, ""),
    (Code::SqlSchemaTerm, "schema"),
    (Code::SqlProcedureTerm, ""),
    (Code::SqlCatalogTerm, "catalog"),
];

/// Answers for a server with these functions.
///
/// # Errors
/// None that is expected.
pub(super) fn build(functions: &HashMap<String, Arc<ScalarUDF>>) -> Result<SqlInfoData> {
    let mut builder = SqlInfoDataBuilder::new();
    TRUE.iter().for_each(|code| builder.append(*code, true));
    FALSE.iter().for_each(|code| builder.append(*code, false));
    INTEGERS.iter().for_each(|(code, value)| builder.append(*code, *value));
    UNLIMITED.iter().for_each(|code| builder.append(*code, 0_i64));
    TEXTS.iter().for_each(|(code, text)| builder.append(*code, *text));
    builder.append(Code::SqlKeywords, KEYWORDS);
    builder.append(Code::SqlNumericFunctions, names(functions, &["Math"]));
    builder.append(
        Code::SqlStringFunctions,
        names(functions, &["String", "Binary String", "Regular Expression"]),
    );
    builder.append(
        Code::SqlSystemFunctions,
        names(functions, &["Other", "Conditional", "Hashing"]),
    );
    builder.append(Code::SqlDatetimeFunctions, names(functions, &["Time and Date"]));
    builder.append(Code::SqlSupportsConvert, BTreeMap::<i32, Vec<i32>>::new());
    builder
        .build()
        .map_err(|error| Error::Internal(format!("SqlInfo: {error}")))
}

/// Names of the functions that are documented in one of the sections.
fn names(functions: &HashMap<String, Arc<ScalarUDF>>, sections: &[&str]) -> Vec<String> {
    let listed = functions.values().filter(|function| {
        let section = function.documentation().map_or("", |docs| docs.doc_section.label);
        sections.iter().any(|wanted| section == format!("{wanted} Functions"))
    });
    listed
        .map(|function| function.name().to_owned())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::datatypes::UInt32Type;
    use datafusion::prelude::SessionContext;

    use super::*;

    fn batch(codes: &[u32]) -> datafusion::arrow::array::RecordBatch {
        let state = SessionContext::new().state();
        build(state.scalar_functions())
            .unwrap()
            .record_batch(codes.iter().copied())
            .unwrap()
    }

    fn children() -> BTreeMap<u32, i8> {
        let batch = batch(&[]);
        let codes = batch.column(0).as_primitive::<UInt32Type>().values().to_vec();
        let union = batch
            .column(1)
            .as_any()
            .downcast_ref::<datafusion::arrow::array::UnionArray>()
            .unwrap();
        codes.into_iter().zip(union.type_ids().to_vec()).collect()
    }

    #[test]
    fn exactly_the_formats_codes_are_answered() {
        let expected: Vec<u32> = (0..=11).chain(100..=101).chain(500..=576).collect();
        assert_eq!(expected.len(), 91);
        assert_eq!(children().into_keys().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn each_code_is_in_the_child_that_clients_read() {
        const TEXT: i8 = 0;
        const BOOL: i8 = 1;
        const BIGINT: i8 = 2;
        const INT32: i8 = 3;
        const LIST: i8 = 4;
        const MAP: i8 = 5;
        for (code, child) in children() {
            let expected = match code {
                0..=2 | 6 | 7 | 504 | 513 | 514 | 529..=531 => TEXT,
                8 | 100 | 101 | 503 | 505 | 507 | 522 | 525 | 526 | 528 | 533..=535 | 538 | 540 | 564 | 567..=571 => {
                    INT32
                }
                508..=512 => LIST,
                517 => MAP,
                541..=555 | 557..=562 => BIGINT,
                _ => BOOL,
            };
            assert_eq!(child, expected, "code {code}");
        }
    }

    #[test]
    fn a_filter_and_the_functions_of_the_registry() {
        assert_eq!(batch(&[0, 8]).num_rows(), 2);
        assert_eq!(batch(&[10_000]).num_rows(), 0);
        let state = SessionContext::new().state();
        for (sections, name) in [("Math", "abs"), ("String", "upper"), ("Time and Date", "date_trunc")] {
            assert!(
                names(state.scalar_functions(), &[sections]).contains(&name.to_owned()),
                "{name}"
            );
        }
    }
}
