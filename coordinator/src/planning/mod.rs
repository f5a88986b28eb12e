//! Decisions about a query's plan: what runs where. Pure: plans and snapshots in, decisions out.

pub mod placement;
pub mod shape;
pub mod splits;
