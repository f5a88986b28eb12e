//! Queries that are known to be answered otherwise than by plain DataFusion, or by neither, each with its reason. One that is not listed
//! fails the run, and so does a listed one that has come right.

/// A text and why it goes wrong.
pub(crate) struct Known {
    /// Its name.
    pub(crate) text: &'static str,
    /// The cause.
    pub(crate) reason: &'static str,
}

/// All of them.
pub(crate) const KNOWN: [Known; 2] = [
    Known {
        text: "47",
        reason: WINDOW_ORDER,
    },
    Known {
        text: "57",
        reason: WINDOW_ORDER,
    },
];

/// Two windows over the same rows, the second with fewer partition columns.
const WINDOW_ORDER: &str = "an exchange below a window loses a column of the order that the window was planned with";

/// Why the text of this name goes wrong; absent if it should not.
pub(crate) fn reason(text: &str) -> Option<&'static str> {
    KNOWN.iter().find(|known| known.text == text).map(|known| known.reason)
}
