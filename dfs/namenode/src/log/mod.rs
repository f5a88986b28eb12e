//! What makes the core's decisions durable.
//!
//! | file on disk | module |
//! |---|---|
//! | `in_use.lock`, `VERSION` | `directory` |
//! | `edits_<first txid>` | `frame`, `segment`, `writer` |
//! | `image_<last txid>` | `checkpoint` |
//!
//! A transaction is answered once its record is fsynced ([`writer`]). At start [`recovery`] loads the newest image and replays the
//! segments after it. In the background [`checkpoint`] folds closed segments into a new image.

pub(crate) mod checkpoint;
pub(crate) mod directory;
pub(crate) mod frame;
pub(crate) mod recovery;
pub(crate) mod segment;
pub(crate) mod writer;
