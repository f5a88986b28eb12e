//! Decisions about a query's plan: what runs where. Pure: plans and snapshots in, decisions out.

pub(crate) mod estimate;
pub mod filters;
pub mod joins;
pub mod nans;
pub mod placement;
mod plain_columns;
pub mod portable;
pub mod rules;
pub mod shape;
pub mod splits;
pub mod statistics;
pub mod views;
