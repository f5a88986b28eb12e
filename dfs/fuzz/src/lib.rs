//! Every decoder of the file system that reads what others wrote, each behind one function that takes any bytes.
//!
//! [`TARGETS`] is the list. A target may refuse its input; it may not panic, hang, or claim memory that the input does not pay for. The
//! same functions serve three callers: libFuzzer (`libfuzzer/`, see the README), the test of the committed corpus, and its systematic
//! damage in CI.

mod files;
mod ports;
mod wire;

/// One decoder.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Names the target, its corpus folder and its libFuzzer binary.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Whether one run costs microseconds; others open sockets or files.
    pub is_cheap: bool,
}

const fn cheap(name: &'static str, run: fn(&[u8])) -> Target {
    Target {
        name,
        run,
        is_cheap: true,
    }
}

const fn costly(name: &'static str, run: fn(&[u8])) -> Target {
    Target {
        name,
        run,
        is_cheap: false,
    }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    cheap("rpc_frame", wire::rpc_frame),
    cheap("transfer_op", wire::transfer_op),
    cheap("packet", wire::packet),
    cheap("pipeline_ack", wire::pipeline_ack),
    cheap("meta_header", wire::meta_header),
    cheap("path", wire::path),
    cheap("datanode_message", files::datanode_message),
    cheap("log_records", files::log_records),
    costly("edit_log", files::edit_log),
    costly("edit_log_framed", files::edit_log_framed),
    costly("image", files::image),
    costly("image_framed", files::image_framed),
    costly("block_files", files::block_files),
    costly("version_file", files::version_file),
    costly("namenode_rpc_port", ports::namenode_rpc),
    costly("datanode_transfer_port", ports::datanode_transfer),
    costly("datanode_ipc_port", ports::datanode_ipc),
];

/// The target of that name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
