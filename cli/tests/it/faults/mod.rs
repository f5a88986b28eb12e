//! Faults at real processes: what was acknowledged is there, whatever was killed, damaged or taken away meanwhile.
//!
//! - `oracle`: files whose every byte follows from their number, and who remembers what was acknowledged
//! - `disks`: replicas as they lie in the DataNodes' directories
//! - `kills`, `flips`, `decommission`: one fault each
//! - `queries`: a worker killed under each TPC-H query

mod decommission;
mod disks;
mod flips;
mod full_disk;
mod kills;
mod oracle;
mod queries;
mod writes;
