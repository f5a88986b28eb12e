//! The eight tables: how many rows they have, how wide these are, and how to generate any part of one.

use arrow::record_batch::RecordBatchReader;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

/// A table of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// 5 rows.
    Region,
    /// 25 rows.
    Nation,
    /// 10,000 rows per unit of scale.
    Supplier,
    /// 150,000.
    Customer,
    /// 200,000.
    Part,
    /// 800,000.
    PartSupp,
    /// 1,500,000.
    Orders,
    /// About 6,000,000: one to seven per order.
    LineItem,
}

/// Rows of a part of a table, batch by batch.
pub(super) type Rows = Box<dyn RecordBatchReader + Send>;

impl Table {
    /// All tables, the small ones first.
    pub const ALL: [Self; 8] = [
        Self::Region,
        Self::Nation,
        Self::Supplier,
        Self::Customer,
        Self::Part,
        Self::PartSupp,
        Self::Orders,
        Self::LineItem,
    ];

    /// The table's name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Nation => "nation",
            Self::Supplier => "supplier",
            Self::Customer => "customer",
            Self::Part => "part",
            Self::PartSupp => "partsupp",
            Self::Orders => "orders",
            Self::LineItem => "lineitem",
        }
    }

    /// Rows at this scale factor; for lineitem the expected number.
    pub fn rows(self, scale: f64) -> u64 {
        let per_unit = match self {
            Self::Region => return 5,
            Self::Nation => return 25,
            Self::Supplier => 10_000.0,
            Self::Customer => 150_000.0,
            Self::Part => 200_000.0,
            Self::PartSupp => 800_000.0,
            Self::Orders => 1_500_000.0,
            Self::LineItem => 6_001_215.0,
        };
        ((per_unit * scale).round() as u64).max(1)
    }

    /// Bytes that one row takes in a Parquet file as this module's neighbours write it (measured at scale factor 1).
    pub fn bytes_per_row(self) -> u64 {
        match self {
            Self::Region => 245,
            Self::Nation => 107,
            Self::Supplier => 91,
            Self::Customer => 88,
            Self::Part => 34,
            Self::PartSupp => 53,
            Self::Orders => 39,
            Self::LineItem => 37,
        }
    }

    /// Part `part` (from 1) of `parts` of the table, generated as it is read.
    pub(super) fn generate(self, scale: f64, part: i32, parts: i32, batch_size: usize) -> Rows {
        macro_rules! rows {
            ($arrow:ident, $generator:ident) => {
                Box::new($arrow::new($generator::new(scale, part, parts)).with_batch_size(batch_size))
            };
        }
        match self {
            Self::Region => rows!(RegionArrow, RegionGenerator),
            Self::Nation => rows!(NationArrow, NationGenerator),
            Self::Supplier => rows!(SupplierArrow, SupplierGenerator),
            Self::Customer => rows!(CustomerArrow, CustomerGenerator),
            Self::Part => rows!(PartArrow, PartGenerator),
            Self::PartSupp => rows!(PartSuppArrow, PartSuppGenerator),
            Self::Orders => rows!(OrderArrow, OrderGenerator),
            Self::LineItem => rows!(LineItemArrow, LineItemGenerator),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rows(table: Table, scale: f64, parts: i32) -> usize {
        let part = |part| table.generate(scale, part, parts, 1000);
        (1..=parts).flat_map(part).map(|batch| batch.unwrap().num_rows()).sum()
    }

    #[test]
    fn row_counts_follow_the_specification() {
        for table in Table::ALL.into_iter().filter(|table| *table != Table::LineItem) {
            assert_eq!(rows(table, 0.01, 1) as u64, table.rows(0.01), "{}", table.name());
        }
        let lines = rows(Table::LineItem, 0.01, 1) as f64;
        assert!((lines / Table::LineItem.rows(0.01) as f64 - 1.0).abs() < 0.02);
    }

    #[test]
    fn parts_make_the_whole() {
        assert_eq!(rows(Table::LineItem, 0.01, 7), rows(Table::LineItem, 0.01, 1));
        assert_eq!(rows(Table::Supplier, 0.01, 3), 100);
    }
}
