//! Random queries over random tables, from a seed and nothing else: no clock, no system randomness, no I/O.
//!
//! - `random`: the seeded numbers
//! - `data`: tables with nulls, NaN, infinities, extremes, duplicates, and without rows
//! - `ast`: a small model of a query, which prints as SQL
//! - `expressions`, `aggregates`, `windows`, `subqueries`, `queries`: grow one
//! - `shrink`: smaller queries that are one step away
//!
//! Every query has one right answer, whatever plan computes it: functions that depend on the order of rows get a total order, `LIMIT`
//! comes with one, and sums are over numbers that add up exactly in any order. So a difference between two engines is a bug of one.

mod aggregates;
pub mod ast;
pub mod data;
mod expressions;
mod queries;
mod random;
pub mod shrink;
mod subqueries;
mod windows;

pub use ast::Query;
pub use data::Table;
pub use random::Random;

/// Query number `index` of the tables that `seed` made.
#[must_use]
pub fn query(seed: u64, index: u64, tables: &[Table]) -> Query {
    queries::Generator::new(Random::new(seed).fork(index), tables).statement()
}

/// The tables of a seed.
#[must_use]
pub fn tables(seed: u64) -> Vec<Table> {
    data::tables(&mut Random::new(seed).fork(u64::MAX))
}
