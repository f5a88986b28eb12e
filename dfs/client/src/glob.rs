//! HDFS's file patterns: `*`, `?`, `[a-c]`, `[^a]`, `[!a]`, `{a,b}` (nested too), and `\` before a character that means itself.
//!
//! A pattern is compiled to a little machine that is in several states at once, so that matching takes time proportional to
//! the length of pattern times name, whatever the pattern.

use std::fmt;

/// A pattern that cannot be understood. Shown in HDFS's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Illegal file pattern: {problem} at pos {position}")]
pub struct GlobError {
    problem: &'static str,
    position: usize,
}

/// The pattern of one component of a path.
#[derive(Clone, PartialEq, Eq)]
pub struct GlobPattern {
    text: String,
    program: Vec<Step>,
    wild: bool,
}

impl fmt::Debug for GlobPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GlobPattern({:?})", self.text)
    }
}

/// One step of the machine. Numbers are steps to go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// This character.
    Char(char),
    /// Any character.
    Any,
    /// One of these, or none of these.
    Set { negated: bool, ranges: Vec<(char, char)> },
    /// Both there and there, without a character.
    Fork(usize, usize),
    /// There, without a character.
    Go(usize),
}

impl GlobPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// For a group or a character class without end, and for a `\` with nothing behind it.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        let chars: Vec<char> = text.chars().collect();
        let mut compiler = Compiler {
            chars: &chars,
            at: 0,
            program: Vec::new(),
            wild: false,
            groups: Vec::new(),
        };
        compiler.compile()?;
        Ok(Self {
            text: text.to_owned(),
            program: compiler.program,
            wild: compiler.wild,
        })
    }

    /// Whether the pattern can match more than one name.
    pub fn has_wildcard(&self) -> bool {
        self.wild
    }

    /// The one name that a pattern without wildcards matches.
    pub fn literal(&self) -> Option<String> {
        (!self.wild).then(|| unescape(&self.text))
    }

    /// Whether the whole name fits the pattern.
    pub fn matches(&self, name: &str) -> bool {
        let mut states = States::new(self.program.len());
        let mut next = States::new(self.program.len());
        states.enter(&self.program, 0);
        for c in name.chars() {
            for &state in &states.list {
                let fits = match &self.program[state] {
                    Step::Char(expected) => *expected == c,
                    Step::Any => true,
                    Step::Set { negated, ranges } => ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)) != *negated,
                    Step::Fork(..) | Step::Go(_) => false,
                };
                if fits {
                    next.enter(&self.program, state + 1);
                }
            }
            std::mem::swap(&mut states, &mut next);
            next.clear();
            if states.list.is_empty() && !states.accepted {
                return false;
            }
        }
        states.accepted
    }
}

/// The states that the machine is in.
struct States {
    list: Vec<usize>,
    seen: Vec<bool>,
    accepted: bool,
}

impl States {
    fn new(steps: usize) -> Self {
        Self {
            list: Vec::new(),
            seen: vec![false; steps],
            accepted: false,
        }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.seen.fill(false);
        self.accepted = false;
    }

    /// Enters a state, and those that it leads to without a character.
    fn enter(&mut self, program: &[Step], state: usize) {
        let mut todo = vec![state];
        while let Some(state) = todo.pop() {
            let Some(step) = program.get(state) else {
                self.accepted = true;
                continue;
            };
            if std::mem::replace(&mut self.seen[state], true) {
                continue;
            }
            match step {
                Step::Fork(a, b) => todo.extend([*a, *b]),
                Step::Go(to) => todo.push(*to),
                _ => self.list.push(state),
            }
        }
    }
}

/// A `{` whose `}` has not come yet.
struct Group {
    /// The fork at the beginning of the present alternative.
    fork: usize,
    /// The ends of the alternatives before it.
    ends: Vec<usize>,
}

struct Compiler<'a> {
    chars: &'a [char],
    at: usize,
    program: Vec<Step>,
    wild: bool,
    groups: Vec<Group>,
}

impl Compiler<'_> {
    fn compile(&mut self) -> Result<(), GlobError> {
        while let Some(&c) = self.chars.get(self.at) {
            self.at += 1;
            match c {
                '\\' => {
                    let escaped = self.escaped()?;
                    self.program.push(Step::Char(escaped));
                }
                '*' => self.star(),
                '?' => {
                    self.wild = true;
                    self.program.push(Step::Any);
                }
                '[' => self.set()?,
                '{' => self.open(),
                ',' if !self.groups.is_empty() => self.alternative(),
                '}' if !self.groups.is_empty() => self.close(),
                plain => self.program.push(Step::Char(plain)),
            }
        }
        if self.groups.is_empty() {
            Ok(())
        } else {
            Err(self.error("Unclosed group"))
        }
    }

    fn error(&self, problem: &'static str) -> GlobError {
        GlobError {
            problem,
            position: self.chars.len(),
        }
    }

    fn escaped(&mut self) -> Result<char, GlobError> {
        let escaped = self.chars.get(self.at).copied();
        self.at += 1;
        escaped.ok_or_else(|| self.error("Missing escaped character"))
    }

    fn star(&mut self) {
        self.wild = true;
        let fork = self.program.len();
        self.program.push(Step::Fork(fork + 1, fork + 3));
        self.program.push(Step::Any);
        self.program.push(Step::Go(fork));
    }

    fn set(&mut self) -> Result<(), GlobError> {
        self.wild = true;
        let negated = matches!(self.chars.get(self.at), Some('^' | '!'));
        self.at += usize::from(negated);
        let mut ranges = Vec::new();
        loop {
            let first = match self.chars.get(self.at) {
                None => return Err(self.error("Unclosed character class")),
                Some(']') if !ranges.is_empty() => break,
                Some(_) => self.member()?,
            };
            let is_range =
                self.chars.get(self.at) == Some(&'-') && !matches!(self.chars.get(self.at + 1), None | Some(']'));
            if is_range {
                self.at += 1;
            }
            let last = if is_range { self.member()? } else { first };
            ranges.push((first, last));
        }
        self.at += 1;
        self.program.push(Step::Set { negated, ranges });
        Ok(())
    }

    fn member(&mut self) -> Result<char, GlobError> {
        let c = self.chars[self.at];
        self.at += 1;
        if c == '\\' { self.escaped() } else { Ok(c) }
    }

    fn open(&mut self) {
        self.wild = true;
        self.groups.push(Group {
            fork: self.program.len(),
            ends: Vec::new(),
        });
        self.begin_alternative();
    }

    /// The other way of the fork is known when the next alternative begins.
    fn begin_alternative(&mut self) {
        let here = self.program.len();
        self.program.push(Step::Fork(here + 1, here + 1));
    }

    fn alternative(&mut self) {
        let end = self.program.len();
        self.program.push(Step::Go(0));
        if let Some(group) = self.groups.last_mut() {
            group.ends.push(end);
            let fork = std::mem::replace(&mut group.fork, end + 1);
            self.program[fork] = Step::Fork(fork + 1, end + 1);
        }
        self.begin_alternative();
    }

    fn close(&mut self) {
        let end = self.program.len();
        if let Some(group) = self.groups.pop() {
            for jump in group.ends {
                self.program[jump] = Step::Go(end);
            }
        }
    }
}

/// The text without the backslashes that make the character behind them mean itself.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    plain
}

/// Patterns that together mean the same and have no `/` between braces: `/a{b/c,d}` is `/ab/c` and `/ad`.
pub(crate) fn expand(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut todo = vec![pattern.to_owned()];
    while let Some(pattern) = todo.pop() {
        match leftmost_group_with_slash(&pattern) {
            None => done.push(pattern),
            Some((before, alternatives, after)) => {
                let expanded = alternatives.iter().rev().map(|one| format!("{before}{one}{after}"));
                todo.extend(expanded);
            }
        }
        if done.len() + todo.len() > MAX_EXPANSIONS {
            return vec![pattern_of(done, todo)];
        }
    }
    done
}

/// More patterns than that are not what anybody meant; the first is left as it is and matches nothing.
const MAX_EXPANSIONS: usize = 10_000;

fn pattern_of(mut done: Vec<String>, mut todo: Vec<String>) -> String {
    done.pop().or_else(|| todo.pop()).unwrap_or_default()
}

/// What stands before the group, in it, and behind it.
fn leftmost_group_with_slash(pattern: &str) -> Option<(&str, Vec<&str>, &str)> {
    let (mut depth, mut open, mut slash, mut escaped) = (0_usize, 0, false, false);
    let mut cuts = Vec::new();
    for (at, c) in pattern.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match c {
            '\\' => escaped = true,
            '{' => {
                if depth == 0 {
                    (open, slash) = (at, false);
                    cuts.clear();
                }
                depth += 1;
            }
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 && slash {
                    cuts.push(at);
                    let mut from = open + 1;
                    let cut = |to: &usize| {
                        let piece = &pattern[from..*to];
                        from = to + 1;
                        piece
                    };
                    return Some((&pattern[..open], cuts.iter().map(cut).collect(), &pattern[at + 1..]));
                }
            }
            ',' if depth == 1 => cuts.push(at),
            '/' if depth > 0 => slash = true,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        GlobPattern::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn every_construct_matches_as_in_hdfs() {
        for (pattern, yes, no) in [
            ("abc", &["abc"][..], &["ab", "abcd", ""][..]),
            ("*", &["", "a", ".hidden", "ä"], &[]),
            ("a?c", &["abc", "aäc"], &["ac", "abbc"]),
            ("a*c", &["ac", "abc", "acc"], &["acb"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x"]),
            ("[^a-c]x", &["dx", "^x"], &["ax", "x"]),
            ("[!a]x", &["bx", "!x"], &["ax"]),
            ("[a-]", &["a", "-"], &["b"]),
            ("[]a]", &["]", "a"], &["b"]),
            ("[\\]a]", &["]", "a"], &["\\"]),
            ("{a,bc}d", &["ad", "bcd"], &["d", "abcd"]),
            ("{a,}d", &["ad", "d"], &["aad"]),
            ("{}d", &["d"], &["{}d"]),
            ("x{a,b{c,d*}}y", &["xay", "xbcy", "xbdzzy"], &["xby", "xcy"]),
            ("{[a,b],c}", &["a", ",", "b", "c"], &["[a"]),
            ("a,b}", &["a,b}"], &["a"]),
            ("\\*\\{\\}", &["*{}"], &["a{}"]),
            ("a.b+(c)|$^", &["a.b+(c)|$^"], &["axb+(c)|$^"]),
        ] {
            for name in yes {
                assert!(matches(pattern, name), "{pattern} must match {name}");
            }
            for name in no {
                assert!(!matches(pattern, name), "{pattern} must not match {name}");
            }
        }
    }

    #[test]
    fn wildcards_are_told_from_escapes() {
        let plain = GlobPattern::new("a\\*b").unwrap();
        assert_eq!(plain.literal().as_deref(), Some("a*b"));
        assert_eq!(GlobPattern::new("{a}").unwrap().literal(), None);
    }

    #[test]
    fn what_does_not_end_is_refused() {
        for (pattern, words) in [
            ("{a,b", "Unclosed group at pos 4"),
            ("[a-", "Unclosed character class"),
            ("[]", "Unclosed character class"),
            ("a\\", "Missing escaped character"),
        ] {
            let error = GlobPattern::new(pattern).unwrap_err().to_string();
            assert!(
                error.starts_with("Illegal file pattern: ") && error.contains(words),
                "{error}"
            );
        }
    }

    #[test]
    fn groups_with_slashes_are_taken_apart() {
        assert_eq!(expand("/a/{b,c}"), ["/a/{b,c}"]);
        assert_eq!(expand("/a{b/c,d}e"), ["/ab/ce", "/ade"]);
        assert_eq!(
            expand("/{x,y}/{a/{b,c/d},e}"),
            ["/{x,y}/a/b", "/{x,y}/a/c/d", "/{x,y}/e"]
        );
        assert_eq!(expand("/\\{a/b\\}"), ["/\\{a/b\\}"]);
        assert_eq!(expand("/{a/b"), ["/{a/b"]);
    }

    #[test]
    fn hostile_patterns_take_no_time() {
        let pattern = "{a*,b*}".repeat(30) + "c";
        assert!(!matches(&pattern, &"ab".repeat(120)));
        assert!(expand(&"{a/,b/}".repeat(40)).len() <= MAX_EXPANSIONS);
    }

    proptest! {
        #[test]
        fn any_text_compiles_or_is_refused(pattern in "[a-c*?{},\\\\\\[\\]^!-]{0,12}", name in "[a-c]{0,6}") {
            if let Ok(glob) = GlobPattern::new(&pattern) {
                let matched = glob.matches(&name);
                if let Some(literal) = glob.literal() {
                    prop_assert_eq!(matched, literal == name);
                }
            }
        }

        #[test]
        fn stars_match_as_a_simple_search_does(pieces in prop::collection::vec("[ab]{0,3}", 1..4), name in "[ab]{0,8}") {
            let pattern = pieces.join("*");
            prop_assert_eq!(matches(&pattern, &name), by_search(&pieces, &name));
        }
    }

    /// Whether `name` begins with the first piece, ends with the last and has the others between, in order.
    fn by_search(pieces: &[String], name: &str) -> bool {
        let (first, rest) = pieces.split_first().unwrap();
        let Some(mut left) = name.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return left.is_empty();
        };
        for piece in middle {
            match left.find(piece.as_str()) {
                Some(at) => left = &left[at + piece.len()..],
                None => return false,
            }
        }
        left.ends_with(last.as_str())
    }
}
