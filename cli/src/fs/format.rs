//! Options and arguments of one command, read as HDFS's shell reads them: options come first, `--` ends them, `-` is an argument.
//!
//! Beyond HDFS, single letters may share a dash (`-rf`).

use super::failure::FsError;

/// Which options a command has, and how many arguments it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syntax {
    /// Options without a value, without their dash.
    pub(super) flags: &'static [&'static str],
    /// Options with a value.
    pub(super) values: &'static [&'static str],
    /// Fewest arguments.
    pub(super) least: usize,
    /// Most arguments.
    pub(super) most: usize,
}

/// What the user gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    flags: Vec<String>,
    values: Vec<(String, String)>,
    /// The arguments that are not options.
    pub(super) rest: Vec<String>,
}

impl Syntax {
    /// Options without values, any number of arguments from `least`.
    pub(super) const fn flags(flags: &'static [&'static str], least: usize) -> Self {
        Self {
            flags,
            values: &[],
            least,
            most: usize::MAX,
        }
    }

    /// The same with at most `most` arguments.
    pub(super) const fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The same with options that take a value.
    pub(super) const fn values(self, values: &'static [&'static str]) -> Self {
        Self { values, ..self }
    }

    /// Reads a command's words.
    ///
    /// # Errors
    /// An unknown option, or too few or too many arguments.
    pub(super) fn parse(&self, words: Vec<String>) -> Result<Given, FsError> {
        let mut given = Given::default();
        let mut words = words.into_iter().peekable();
        while let Some(option) = words.next_if(|word| word.starts_with('-') && word != "-") {
            let name = &option[1..];
            if option == "--" {
                break;
            } else if self.flags.contains(&name) {
                given.flags.push(name.to_owned());
            } else if self.values.contains(&name) {
                let value = words.next_if(|word| !word.starts_with('-') || word == "-");
                given.values.push((name.to_owned(), value.unwrap_or_default()));
            } else if self.are_letters(name) {
                given.flags.extend(name.chars().map(String::from));
            } else {
                return Err(FsError::Usage(format!("Illegal option {option}")));
            }
        }
        given.rest = words.collect();
        self.check_count(given.rest.len())?;
        Ok(given)
    }

    /// Whether `name` is several options of one letter in one word.
    fn are_letters(&self, name: &str) -> bool {
        name.len() > 1
            && name
                .chars()
                .all(|letter| self.flags.contains(&letter.to_string().as_str()))
    }

    fn check_count(&self, found: usize) -> Result<(), FsError> {
        let complaint = |what: &str, expected: usize| {
            let text = format!("{what} arguments: expected {expected} but got {found}");
            Err(FsError::Usage(text))
        };
        match found {
            _ if found < self.least => complaint("Not enough", self.least),
            _ if found > self.most => complaint("Too many", self.most),
            _ => Ok(()),
        }
    }
}

impl Given {
    /// Whether an option was given.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }

    /// The value of an option, the last one if there are several.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.values
            .iter()
            .rev()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The arguments, or `default` where there are none.
    pub(super) fn rest_or(self, default: &str) -> Vec<String> {
        if self.rest.is_empty() {
            vec![default.to_owned()]
        } else {
            self.rest
        }
    }
}

/// Takes `name value` out of the words, wherever it stands before a `--`.
///
/// # Errors
/// The value is missing.
pub(super) fn take_value(words: &mut Vec<String>, name: &str) -> Result<Option<String>, FsError> {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let Some(at) = words[..end].iter().position(|word| word == name) else {
        return Ok(None);
    };
    if at + 1 >= words.len() {
        return Err(FsError::Usage(format!("option {name} requires an argument.")));
    }
    words.remove(at);
    Ok(Some(words.remove(at)))
}

/// Takes the option `name` out of the words, wherever it stands before a `--`; whether it was there.
pub(super) fn take_flag(words: &mut Vec<String>, name: &str) -> bool {
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let found = words[..end].iter().position(|word| word == name);
    found.map(|at| words.remove(at)).is_some()
}

/// The first word that is not an option, taken out of the words.
pub(super) fn take_first_argument(words: &mut Vec<String>) -> Option<String> {
    let mut after_dashes = false;
    let at = words.iter().position(|word| {
        let is_argument = after_dashes || !word.starts_with('-') || word == "-";
        after_dashes |= word == "--";
        is_argument
    })?;
    Some(words.remove(at))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RM: Syntax = Syntax::flags(&["r", "f", "skipTrash"], 1).values(&["t"]);

    fn parse(words: &str) -> Result<Given, FsError> {
        RM.parse(words.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn options_end_at_the_first_argument() {
        let given = parse("-r -skipTrash /a -f").unwrap();
        assert!(given.has("r") && given.has("skipTrash") && !given.has("f"));
        assert_eq!(given.rest, ["/a", "-f"]);
    }

    #[test]
    fn letters_may_share_a_dash() {
        let given = parse("-rf /a").unwrap();
        assert!(given.has("r") && given.has("f"));
    }

    #[test]
    fn two_dashes_end_options_and_one_is_an_argument() {
        assert_eq!(parse("-r -- -f").unwrap().rest, ["-f"]);
        assert_eq!(parse("- x").unwrap().rest, ["-", "x"]);
    }

    #[test]
    fn values_follow_their_option() {
        let given = parse("-t 5 /a").unwrap();
        assert_eq!((given.value("t"), given.rest.len()), (Some("5"), 1));
        assert_eq!(parse("-t -r /a").unwrap().value("t"), Some(""));
    }

    #[test]
    fn complaints_are_hdfs_s() {
        assert_eq!(parse("-q /a").unwrap_err().to_string(), "Illegal option -q");
        assert_eq!(
            parse("-r").unwrap_err().to_string(),
            "Not enough arguments: expected 1 but got 0"
        );
        let one = RM.at_most(1);
        let error = one.parse(vec!["a".into(), "b".into()]).unwrap_err();
        assert_eq!(error.to_string(), "Too many arguments: expected 1 but got 2");
    }

    #[test]
    fn values_are_taken_from_anywhere() {
        let mut words: Vec<_> = ["/a", "-n", "user.x", "-R"].map(String::from).into();
        assert_eq!(take_value(&mut words, "-n").unwrap().as_deref(), Some("user.x"));
        assert!(take_flag(&mut words, "-R") && !take_flag(&mut words, "-R"));
        assert_eq!(take_first_argument(&mut words).as_deref(), Some("/a"));
        assert!(words.is_empty());
    }
}
