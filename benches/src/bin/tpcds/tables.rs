//! The 24 tables: their names, how many files each has, and how to generate any part of one.

use std::ops::RangeInclusive;

use anyhow::Context;
use arrow::record_batch::RecordBatchReader;
use tpcdsgen::config::{Session, SessionBuilder, Table};
use tpcdsgen_arrow::{
    CallCenterArrow, CatalogPageArrow, CatalogReturnsArrow, CatalogSalesArrow, CustomerAddressArrow, CustomerArrow,
    CustomerDemographicsArrow, DateDimArrow, HouseholdDemographicsArrow, IncomeBandArrow, InventoryArrow, ItemArrow,
    PromotionArrow, ReasonArrow, ShipModeArrow, StoreArrow, StoreReturnsArrow, StoreSalesArrow, TimeDimArrow,
    WarehouseArrow, WebPageArrow, WebReturnsArrow, WebSalesArrow, WebSiteArrow,
};

/// Files of a fact table at scale factor 1: each is then some 5 to 20 MB.
const FILES: f64 = 8.0;
/// Files of a fact table at least: every node of a small cluster shall hold some of its rows.
const FEWEST_FILES: u64 = 3;

/// Rows of a part of a table, batch by batch.
pub(crate) type Rows = Box<dyn RecordBatchReader + Send>;

/// One of the tables, and its maker.
macro_rules! tables {
    ($($table:ident => $generator:ident),* $(,)?) => {
        /// All tables of the benchmark, without the generator's own `dbgen_version`.
        pub(crate) const TABLES: [Table; 24] = [$(Table::$table),*];

        fn generator(table: Table, session: Session, rows: &RangeInclusive<u64>) -> Option<Rows> {
            match table {
                $(Table::$table => {
                    Some(Box::new($generator::new(session).with_source_row_range(*rows.start(), *rows.end())))
                })*
                Table::DbgenVersion => None,
            }
        }
    };
}

tables! {
    CallCenter => CallCenterArrow,
    CatalogPage => CatalogPageArrow,
    CatalogReturns => CatalogReturnsArrow,
    CatalogSales => CatalogSalesArrow,
    Customer => CustomerArrow,
    CustomerAddress => CustomerAddressArrow,
    CustomerDemographics => CustomerDemographicsArrow,
    DateDim => DateDimArrow,
    HouseholdDemographics => HouseholdDemographicsArrow,
    IncomeBand => IncomeBandArrow,
    Inventory => InventoryArrow,
    Item => ItemArrow,
    Promotion => PromotionArrow,
    Reason => ReasonArrow,
    ShipMode => ShipModeArrow,
    Store => StoreArrow,
    StoreReturns => StoreReturnsArrow,
    StoreSales => StoreSalesArrow,
    TimeDim => TimeDimArrow,
    Warehouse => WarehouseArrow,
    WebPage => WebPageArrow,
    WebReturns => WebReturnsArrow,
    WebSales => WebSalesArrow,
    WebSite => WebSiteArrow,
}

/// Names of all tables.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(Table::get_name)
}

/// The generator at a scale factor.
///
/// # Errors
/// It does not serve that scale.
pub(crate) fn session(scale: f64) -> anyhow::Result<Session> {
    let session = SessionBuilder::new().with_scale_factor(scale).build();
    session.with_context(|| format!("the generator at scale {scale}"))
}

/// The parts of a table, a file each, as ranges of the generator's source rows (a sale of several items is one).
pub(crate) fn parts(table: Table, session: &Session) -> Vec<RangeInclusive<u64>> {
    let scaling = session.get_scaling();
    let rows = scaling.get_row_count(table);
    let files = if is_fact(table) {
        ((FILES * scaling.get_scale()).ceil() as u64).clamp(FEWEST_FILES, rows.max(FEWEST_FILES))
    } else {
        1
    };
    let ends = (0..=files).map(|file| rows * file / files).collect::<Vec<_>>();
    ends.windows(2).map(|ends| ends[0] + 1..=ends[1]).collect()
}

/// The rows of a part.
///
/// # Panics
/// `table` is none of the benchmark's.
pub(crate) fn generate(table: Table, session: &Session, part: &RangeInclusive<u64>) -> Rows {
    generator(table, session.clone(), part).expect("a table of the benchmark")
}

/// Whether rows of the table tell what happened. Only these are cut: a dimension's rows depend on the ones before.
fn is_fact(table: Table) -> bool {
    use Table::{CatalogReturns, CatalogSales, Inventory, StoreReturns, StoreSales, WebReturns, WebSales};
    matches!(
        table,
        CatalogReturns | CatalogSales | Inventory | StoreReturns | StoreSales | WebReturns | WebSales
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    fn rows(table: Table, session: &Session, part: &RangeInclusive<u64>) -> usize {
        generate(table, session, part)
            .map(|batch| batch.unwrap().num_rows())
            .sum()
    }

    #[test]
    fn every_table_has_rows_and_a_name_of_its_own() {
        let session = session(0.01).unwrap();
        assert_eq!(names().collect::<BTreeSet<_>>().len(), 24);
        for table in TABLES.into_iter().filter(|table| *table != Table::CustomerDemographics) {
            let rows: usize = parts(table, &session)
                .iter()
                .map(|part| rows(table, &session, part))
                .sum();
            assert!(rows > 0, "{}", table.get_name());
        }
    }

    #[test]
    fn parts_together_are_the_whole() {
        let session = session(0.01).unwrap();
        for table in [Table::StoreSales, Table::WebReturns, Table::Inventory] {
            let parts = parts(table, &session);
            assert_eq!(parts.len(), 3);
            let whole = 1..=session.get_scaling().get_row_count(table);
            let in_parts: usize = parts.iter().map(|part| rows(table, &session, part)).sum();
            assert_eq!(in_parts, rows(table, &session, &whole), "{}", table.get_name());
        }
    }
}
