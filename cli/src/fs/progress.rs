//! A bar for long copies, on a terminal only.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// Copies shorter than this, in bytes, are done before a bar would help.
const WORTH_A_BAR: u64 = 16 << 20;

/// A bar for copying `length` bytes of `name`; `None` when the length is not known. Hidden unless standard error is a terminal.
pub(super) fn bar(name: &str, length: Option<u64>) -> ProgressBar {
    let worth = length.is_none_or(|length| length >= WORTH_A_BAR);
    if !worth || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let form = if length.is_some() {
        "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}"
    } else {
        "{msg} {bytes} {binary_bytes_per_sec}"
    };
    bar.set_style(ProgressStyle::with_template(form).expect("the template is valid"));
    bar.set_message(name.to_owned());
    bar
}
