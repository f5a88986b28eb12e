//! One set of SQL files, several engines, the same rows; and queries from a generator, compared in the same way.
//!
//! The files lie in `slt/<topic>/*.slt`. Each runs on plain DataFusion in this process and, over Flight SQL, on clusters of one and of three
//! workers, on the same data ([`fixtures`]), whose files are cut into many blocks and row groups. The expected values were made by plain
//! DataFusion and read by a person; `QUARRY_SLT_RECORD=1` makes them anew. How values look is in [`cells`].
//!
//! [`generator`] makes queries of a seed, [`generated`] runs them.

pub mod cells;
pub mod compare;
pub mod engine;
pub mod fixtures;
pub mod formats;
pub mod generated;
pub mod generator;
mod rows;
pub mod site;
