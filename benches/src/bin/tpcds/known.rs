//! Queries that are known to be answered otherwise than by plain DataFusion, or by neither, each with its reason. One that is not listed
//! fails the run, and so does a listed one that has come right.

/// All of them: the name of a text, and why it goes wrong.
const KNOWN: [(&str, &str); 0] = [];

/// Why the text of this name goes wrong; absent if it should not.
pub(crate) fn reason(text: &str) -> Option<&'static str> {
    KNOWN
        .iter()
        .find(|(known, _)| *known == text)
        .map(|(_, reason)| *reason)
}
