//! The 22 queries of the TPC-H specification (section 2.4) with its validation parameters.

/// One query.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// Its number in the specification, from 1.
    pub id: u8,
    template: &'static str,
    /// Positions of the columns that it is sorted by, most significant first; empty if its order is free.
    pub order_by: &'static [usize],
}

/// The part of the total stock value that makes a stock important (Q11) at scale factor 1.
const FRACTION_AT_SCALE_1: f64 = 0.0001;

macro_rules! query {
    ($id:literal, $file:literal, $order_by:expr) => {
        Query {
            id: $id,
            template: include_str!(concat!("queries/", $file)),
            order_by: &$order_by,
        }
    };
}

/// All of them, by number.
pub const QUERIES: [Query; 22] = [
    query!(1, "q01.sql", [0, 1]),
    query!(2, "q02.sql", [0, 2, 1, 3]),
    query!(3, "q03.sql", [1, 2]),
    query!(4, "q04.sql", [0]),
    query!(5, "q05.sql", [1]),
    query!(6, "q06.sql", []),
    query!(7, "q07.sql", [0, 1, 2]),
    query!(8, "q08.sql", [0]),
    query!(9, "q09.sql", [0, 1]),
    query!(10, "q10.sql", [2]),
    query!(11, "q11.sql", [1]),
    query!(12, "q12.sql", [0]),
    query!(13, "q13.sql", [1, 0]),
    query!(14, "q14.sql", []),
    query!(15, "q15.sql", [0]),
    query!(16, "q16.sql", [3, 0, 1, 2]),
    query!(17, "q17.sql", []),
    query!(18, "q18.sql", [4, 3]),
    query!(19, "q19.sql", []),
    query!(20, "q20.sql", [0]),
    query!(21, "q21.sql", [1, 0]),
    query!(22, "q22.sql", [0]),
];

impl Query {
    /// The query's SQL for data of this scale factor: one parameter, Q11's fraction, depends on it.
    pub fn sql(&self, scale: f64) -> String {
        self.template
            .replace(":fraction", &format!("{:.10}", FRACTION_AT_SCALE_1 / scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_agree() {
        for (position, query) in QUERIES.iter().enumerate() {
            assert_eq!(usize::from(query.id), position + 1);
            assert!(query.template.starts_with(&format!("-- Q{},", query.id)));
            assert!(!query.template.contains(';'));
            assert_eq!(query.order_by.is_empty(), !query.template.contains("\norder by"));
        }
    }

    #[test]
    fn the_fraction_follows_the_scale() {
        assert!(QUERIES[10].sql(1.0).contains("* 0.0001000000\n"));
        assert!(QUERIES[10].sql(10.0).contains("* 0.0000100000\n"));
        assert!(QUERIES[10].sql(0.01).contains("* 0.0100000000\n"));
    }
}
