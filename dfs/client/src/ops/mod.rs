//! What a [`DfsClient`](crate::DfsClient) can do beyond reading and writing files, by subject.

mod attributes;
mod cluster;
mod glob;
mod listing;
mod repair;
mod trash;

pub use listing::{LocatedPages, StatusPages};
pub use trash::Trashed;
