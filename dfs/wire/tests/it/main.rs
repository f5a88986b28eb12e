//! The wire over real sockets: our server with our client, and with bytes that no client would send.
#![allow(clippy::unwrap_used)]

mod calls;
mod hostile;
mod lifecycle;
mod support;
mod transfer;
