//! SQL's `LIKE` patterns over names: `%` any text, `_` one character, `\` takes the next character as it is.

/// A pattern, ready to match.
#[derive(Debug, Clone)]
pub(crate) struct Like {
    parts: Vec<Part>,
    ignore_case: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    One,
    Char(char),
}

impl Like {
    /// Matches everything.
    pub(crate) fn everything() -> Self {
        Self {
            parts: vec![Part::Any],
            ignore_case: false,
        }
    }

    /// Reads a pattern.
    pub(crate) fn new(pattern: &str, ignore_case: bool) -> Self {
        let mut parts = Vec::with_capacity(pattern.len());
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            parts.push(match char {
                '%' if parts.last() == Some(&Part::Any) => continue,
                '%' => Part::Any,
                '_' => Part::One,
                '\\' => Part::Char(chars.next().unwrap_or('\\')),
                other => Part::Char(other),
            });
        }
        Self { parts, ignore_case }
    }

    /// The filter of a metadata call: absent means everything.
    pub(crate) fn filter(pattern: Option<&str>) -> Self {
        pattern.map_or_else(Self::everything, |pattern| Self::new(pattern, false))
    }

    /// The same pattern for names in any case.
    pub(crate) fn in_any_case(&self) -> Self {
        Self {
            ignore_case: true,
            ..self.clone()
        }
    }

    /// The one name it matches, if it has no wildcard.
    pub(crate) fn literal(&self) -> Option<String> {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Char(char) => Some(*char),
                Part::Any | Part::One => None,
            })
            .collect()
    }

    /// Whether a name matches as a whole. Time is at most pattern times name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut part, mut at) = (0, 0);
        // Where to go on if the text taken by the last `%` was too short.
        let mut retry: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.parts.get(part) {
                Some(Part::Any) => {
                    retry = Some((part, at));
                    part += 1;
                }
                Some(Part::One) => (part, at) = (part + 1, at + 1),
                Some(Part::Char(char)) if self.same(*char, name[at]) => (part, at) = (part + 1, at + 1),
                _ => match retry {
                    Some((any, from)) => {
                        retry = Some((any, from + 1));
                        (part, at) = (any + 1, from + 1);
                    }
                    None => return false,
                },
            }
        }
        self.parts[part..].iter().all(|part| *part == Part::Any)
    }

    fn same(&self, a: char, b: char) -> bool {
        a == b || (self.ignore_case && a.to_lowercase().eq(b.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(pattern: &str, name: &str) -> bool {
        Like::new(pattern, false).matches(name)
    }

    #[test]
    fn wildcards_and_escapes() {
        for (pattern, name, expected) in [
            ("%", "", true),
            ("", "", true),
            ("", "a", false),
            ("a%", "abc", true),
            ("%b%", "abc", true),
            ("%c", "abcc", true),
            ("a_c", "abc", true),
            ("a_c", "ac", false),
            ("a\\_c", "abc", false),
            ("a\\_c", "a_c", true),
            ("100\\%", "100%", true),
            ("%%a%%b%%", "xaxb", true),
            ("a%b%c", "a-b-b", false),
            ("_ü", "xü", true),
        ] {
            assert_eq!(like(pattern, name), expected, "{pattern} {name}");
        }
        assert!(Like::new("AB%", true).matches("abc"));
        assert!(!like("AB%", "abc"));
        assert!(Like::new("AB%", false).in_any_case().matches("abc"));
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = format!("{}b", "%a".repeat(2_000));
        assert!(!like(&pattern, &"a".repeat(4_000)));
    }

    #[test]
    fn literals_are_known() {
        assert_eq!(Like::new("a\\_b", false).literal().as_deref(), Some("a_b"));
        assert_eq!(Like::new("a_b", false).literal(), None);
        assert_eq!(Like::everything().literal(), None);
    }
}
