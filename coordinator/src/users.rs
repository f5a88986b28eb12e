//! Who may log in: the file that `users_file` names.
//!
//! ```toml
//! [users.ada]
//! password = "secret"
//! token = "a long random text"    # optional: for clients that send a token instead of user and password
//! ```
//!
//! Without such a file every client is believed to be who it says. Passwords are in clear, so the file must be its owner's alone.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Deserialize;

/// Bits of a file's mode that let anybody but its owner in.
const OTHERS: u32 = 0o077;

/// The users of a server.
#[derive(Debug, Default)]
pub(crate) struct Users(Option<BTreeMap<String, User>>);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    users: BTreeMap<String, User>,
}

/// One user's secrets; never printed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    password: Option<String>,
    token: Option<String>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("User(..)")
    }
}

impl Users {
    /// Reads the file; without one, every client is believed.
    ///
    /// # Errors
    /// What is wrong with the file, with its path.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, String> {
        let Some(path) = file else { return Ok(Self::default()) };
        let problem = |problem: String| format!("users_file {}: {problem}", path.display());
        let mode = std::fs::metadata(path).map_err(|error| problem(error.to_string()))?;
        let mode = mode.permissions().mode();
        if mode & OTHERS != 0 {
            let mode = mode & 0o777;
            return Err(problem(format!(
                "others may read it (mode {mode:o}), and it holds passwords; chmod 600 it"
            )));
        }
        let text = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
        Self::parse(&text).map_err(problem)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let without = file
            .users
            .iter()
            .find(|(_, user)| user.password.is_none() && user.token.is_none());
        if let Some((name, _)) = without {
            return Err(format!("user {name:?} has neither password nor token"));
        }
        let empty = |secret: &Option<String>| secret.as_deref() == Some("");
        if let Some((name, _)) = file
            .users
            .iter()
            .find(|(_, user)| empty(&user.password) || empty(&user.token))
        {
            return Err(format!("user {name:?} has an empty password or token"));
        }
        Ok(Self(Some(file.users)))
    }

    /// Whether clients must log in.
    pub(crate) fn are_required(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this user has this password. Without a file: yes.
    pub(crate) fn knows(&self, user: &str, password: &str) -> bool {
        let Some(users) = &self.0 else { return true };
        let stored = users.get(user).and_then(|user| user.password.as_deref());
        // An unknown user takes as long as a known one.
        let same = is_same(stored.unwrap_or("no such user"), password);
        stored.is_some() && same
    }

    /// The user whose token from the file this is.
    pub(crate) fn of_token(&self, token: &str) -> Option<&str> {
        let users = self.0.as_ref()?;
        let mut found = None;
        for (name, user) in users {
            if user.token.as_deref().is_some_and(|stored| is_same(stored, token)) {
                found = Some(name.as_str());
            }
        }
        found
    }
}

/// Compares without telling by its time where two secrets differ.
fn is_same(stored: &str, given: &str) -> bool {
    let (stored, given) = (stored.as_bytes(), given.as_bytes());
    let mut difference = stored.len() ^ given.len();
    for (at, byte) in given.iter().enumerate() {
        difference |= usize::from(byte ^ stored[at % stored.len().max(1)]);
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn passwords_and_tokens_are_those_of_the_file() {
        let users = Users::parse("[users.ada]\npassword = \"secret\"\n[users.robot]\ntoken = \"t0ken\"\n").unwrap();
        assert!(users.are_required() && users.knows("ada", "secret"));
        for (user, password) in [
            ("ada", "Secret"),
            ("ada", "secretsecret"),
            ("ada", ""),
            ("robot", ""),
            ("bob", "secret"),
        ] {
            assert!(!users.knows(user, password), "{user} {password}");
        }
        assert_eq!(users.of_token("t0ken"), Some("robot"));
        assert_eq!(users.of_token("secret"), None);
        assert!(!format!("{users:?}").contains("secret"));
    }

    #[test]
    fn without_a_file_everybody_is_believed() {
        let users = Users::load(None).unwrap();
        assert!(!users.are_required() && users.knows("anybody", "") && users.of_token("t").is_none());
    }

    #[test]
    fn a_wrong_file_is_told() {
        for (text, word) in [
            ("[users.ada]\n", "neither"),
            ("[users.ada]\npassword = \"\"\n", "empty"),
            ("[users.ada]\npasword = \"x\"\n", "pasword"),
            ("users = 1", "invalid type"),
            ("", "users"),
        ] {
            let problem = Users::parse(text).unwrap_err();
            assert!(problem.contains(word), "{text}: {problem}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[users.ada]\npassword = \"x\"\n").unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Users::load(Some(file.path())).unwrap_err().contains("chmod 600"));
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Users::load(Some(file.path())).unwrap().knows("ada", "x"));
        assert!(
            Users::load(Some(Path::new("/no/such/file")))
                .unwrap_err()
                .contains("/no/such/file")
        );
    }
}
