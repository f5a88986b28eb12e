//! Modes of `chmod`: `640`, `1777`, `u=rw,g+w,o-rwx`, `a+X`, `+t`.

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// These bits; without a digit for it, the sticky bit stays as it is.
    Octal { bits: u16, sticky_given: bool },
    /// One change after the other.
    Symbolic(Vec<Clause>),
}

/// `ug+rw`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    /// The bits of those it is about, all three of each.
    who: u16,
    operation: char,
    /// `rwx` as a number.
    rights: u16,
    /// `X`: the right to execute, where it is a directory or somebody has it.
    execute_if_any: bool,
    sticky: bool,
}

const ALL: u16 = 0o777;
const STICKY: u16 = 0o1000;

impl Mode {
    /// Reads a mode; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.starts_with(|c: char| c.is_ascii_digit() || c == '+')
            && text.trim_start_matches('+').chars().all(|c| c.is_ascii_digit())
        {
            return octal(text.trim_start_matches('+'));
        }
        text.split(',').map(clause).collect::<Option<_>>().map(Self::Symbolic)
    }

    /// The bits that `permission` becomes.
    pub(super) fn applied_to(&self, permission: u16, is_directory: bool) -> u16 {
        match self {
            Self::Octal {
                bits,
                sticky_given: true,
            } => *bits,
            Self::Octal { bits, .. } => *bits | (permission & STICKY),
            Self::Symbolic(clauses) => clauses
                .iter()
                .fold(permission, |bits, clause| clause.apply(bits, is_directory)),
        }
    }
}

fn octal(digits: &str) -> Option<Mode> {
    let bits = u16::from_str_radix(digits, 8).ok()?;
    let known = match digits.len() {
        3 => bits <= ALL,
        4 => bits <= STICKY | ALL,
        _ => false,
    };
    known.then_some(Mode::Octal {
        bits,
        sticky_given: digits.len() == 4,
    })
}

fn clause(text: &str) -> Option<Clause> {
    let at = text.find(['+', '-', '='])?;
    let (who, rest) = text.split_at(at);
    let mut rest = rest.chars();
    let mut clause = Clause {
        who: 0,
        operation: rest.next()?,
        rights: 0,
        execute_if_any: false,
        sticky: false,
    };
    for letter in who.chars() {
        clause.who |= match letter {
            'u' => 0o700,
            'g' => 0o070,
            'o' => 0o007,
            'a' => ALL,
            _ => return None,
        };
    }
    if who.is_empty() {
        clause.who = ALL;
    }
    for letter in rest {
        match letter {
            'r' => clause.rights |= 4,
            'w' => clause.rights |= 2,
            'x' => clause.rights |= 1,
            'X' => clause.execute_if_any = true,
            't' => clause.sticky = true,
            _ => return None,
        }
    }
    let empty = clause.rights == 0 && !clause.execute_if_any && !clause.sticky;
    (!empty).then_some(clause)
}

impl Clause {
    fn apply(&self, bits: u16, is_directory: bool) -> u16 {
        let execute = self.execute_if_any && (is_directory || bits & 0o111 != 0);
        let rights = self.rights | u16::from(execute);
        let mut meant = self.who & (rights | rights << 3 | rights << 6);
        if self.sticky {
            meant |= STICKY;
        }
        match self.operation {
            '+' => bits | meant,
            '-' => bits & !meant,
            _ => bits & !self.who & !(if self.sticky { STICKY } else { 0 }) | meant,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn applied(mode: &str, permission: u16, is_directory: bool) -> u16 {
        Mode::parse(mode).unwrap().applied_to(permission, is_directory)
    }

    #[test]
    fn octal_modes() {
        assert_eq!(applied("640", 0o777, false), 0o640);
        assert_eq!(applied("1777", 0o755, true), 0o1777);
        assert_eq!(
            applied("755", 0o1700, true),
            0o1755,
            "three digits leave the sticky bit"
        );
        assert_eq!(applied("0755", 0o1700, true), 0o755);
        for wrong in ["999", "77", "17777", "2755", "", "u"] {
            assert!(Mode::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn symbolic_modes() {
        assert_eq!(applied("g+w,o-rx", 0o755, true), 0o770);
        assert_eq!(applied("u=rw", 0o777, false), 0o677);
        assert_eq!(applied("a-x", 0o755, false), 0o644);
        assert_eq!(applied("+r", 0o300, false), 0o744);
        assert_eq!(applied("a+X", 0o644, false), 0o644);
        assert_eq!(applied("a+X", 0o644, true), 0o755);
        assert_eq!(applied("+t", 0o755, true), 0o1755);
        assert_eq!(applied("-t", 0o1755, true), 0o755);
        assert_eq!(applied("o=x", 0o754, false), 0o751);
        for wrong in ["u+", "x+r", "u+y", "u~r", "u+r,", "go="] {
            assert!(Mode::parse(wrong).is_none(), "{wrong}");
        }
    }
}
