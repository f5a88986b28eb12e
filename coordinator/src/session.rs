//! Sessions: who speaks, in which schema, with which settings.
//!
//! A client is recognized by the bearer token of its handshake, else by a cookie, else by its connection. Sessions live in memory: a
//! coordinator that restarts has forgotten them, and a client with an old token is told to log in again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::catalog::{CATALOG, DEFAULT_SCHEMA};
use crate::error::{Error, Result};
use crate::settings::Settings;

/// User of a client that did not say who it is.
pub const ANONYMOUS: &str = "anonymous";

/// How a client is recognized.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SessionKey {
    /// Token given out by a handshake.
    Token(String),
    /// Value of the session cookie.
    Cookie(String),
    /// Number of the connection, unique while the server runs.
    Connection(u64),
}

/// What a client wants of every session that it opens: headers of its calls, which JDBC makes of URL properties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Catalog, if not the one there is.
    pub catalog: Option<String>,
    /// Schema of names without one.
    pub schema: Option<String>,
    /// Settings by key.
    pub settings: BTreeMap<String, String>,
}

/// One client's session. Cheap to share; changes are seen by later statements.
#[derive(Debug)]
pub struct Session {
    /// Name for logs and the `system.sessions` table; not a secret.
    pub id: u64,
    /// Who the client says it is.
    pub user: String,
    state: Mutex<SessionState>,
}

#[derive(Debug)]
struct SessionState {
    schema: String,
    settings: Settings,
    defaults: Defaults,
    last_used: Instant,
}

impl Session {
    fn new(id: u64, user: &str) -> Self {
        let state = SessionState {
            schema: DEFAULT_SCHEMA.to_owned(),
            settings: Settings::default(),
            defaults: Defaults::default(),
            last_used: Instant::now(),
        };
        Self {
            id,
            user: user.to_owned(),
            state: Mutex::new(state),
        }
    }

    /// Schema of names without one.
    pub fn schema(&self) -> String {
        self.state.lock().schema.clone()
    }

    /// Changes the schema; the caller has checked that it exists.
    pub fn set_schema(&self, schema: &str) {
        self.state.lock().schema = schema.to_owned();
    }

    /// Accepts the only catalog there is.
    ///
    /// # Errors
    /// [`Error::NotFound`] for any other.
    pub fn set_catalog(&self, catalog: &str) -> Result<()> {
        if catalog == CATALOG {
            Ok(())
        } else {
            Err(Error::not_found("catalog", catalog))
        }
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Settings {
        self.state.lock().settings.clone()
    }

    /// Changes the settings.
    ///
    /// # Errors
    /// The change's own.
    pub fn change_settings<T>(&self, change: impl FnOnce(&mut Settings) -> Result<T>) -> Result<T> {
        change(&mut self.state.lock().settings)
    }

    /// Whether these defaults are in force already: each call brings them, and must not undo what the client said since.
    pub fn has_defaults(&self, defaults: &Defaults) -> bool {
        self.state.lock().defaults == *defaults
    }

    /// Remembers the defaults that were put in force.
    pub fn set_defaults(&self, defaults: Defaults) {
        self.state.lock().defaults = defaults;
    }

    fn touch(&self, now: Instant) {
        self.state.lock().last_used = now;
    }

    /// How long the client has been silent.
    pub fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.state.lock().last_used)
    }
}

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    idle_limit: Duration,
    max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<SessionKey, Arc<Session>>,
    last_id: u64,
}

impl Inner {
    fn open(&mut self, key: SessionKey, user: &str) -> Arc<Session> {
        self.last_id += 1;
        let session = Arc::new(Session::new(self.last_id, user));
        self.sessions.insert(key, Arc::clone(&session));
        session
    }
}

impl Sessions {
    /// Forgets sessions that are idle for `idle_limit`, and keeps at most `max`.
    #[must_use]
    pub fn new(idle_limit: Duration, max: usize) -> Self {
        Self {
            idle_limit,
            max,
            inner: Mutex::default(),
        }
    }

    /// Starts a session for a user and returns its token.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system gives no random numbers.
    pub fn login(&self, user: &str) -> Result<String> {
        let token = random_token()?;
        self.make_room();
        self.inner.lock().open(SessionKey::Token(token.clone()), user);
        Ok(token)
    }

    /// The session of a token that is the user's own rather than given out by us.
    pub fn of_own_token(&self, token: &str, user: &str) -> Arc<Session> {
        let key = SessionKey::Token(token.to_owned());
        let now = Instant::now();
        if let Some(session) = self.inner.lock().sessions.get(&key)
            && session.idle(now) < self.idle_limit
        {
            session.touch(now);
            return Arc::clone(session);
        }
        self.make_room();
        self.inner.lock().open(key, user)
    }

    /// The session of a client, started now if it is known by cookie or connection only.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for an unknown token: it expired, or the coordinator restarted.
    pub fn of(&self, key: &SessionKey) -> Result<Arc<Session>> {
        let now = Instant::now();
        if let Some(session) = self.inner.lock().sessions.get(key)
            && session.idle(now) < self.idle_limit
        {
            session.touch(now);
            return Ok(Arc::clone(session));
        }
        match key {
            SessionKey::Token(_) => {
                self.close(key);
                Err(Error::Unauthenticated(
                    "the token is unknown or has expired; log in again".to_owned(),
                ))
            }
            SessionKey::Cookie(_) | SessionKey::Connection(_) => {
                self.make_room();
                Ok(self.inner.lock().open(key.clone(), ANONYMOUS))
            }
        }
    }

    /// A cookie by which a session is found, besides the way it was found so far.
    ///
    /// # Errors
    /// [`Error::Internal`] if the system gives no random numbers.
    pub fn cookie(&self, session: &Arc<Session>) -> Result<String> {
        let cookie = random_token()?;
        self.make_room();
        self.inner
            .lock()
            .sessions
            .insert(SessionKey::Cookie(cookie.clone()), Arc::clone(session));
        Ok(cookie)
    }

    /// Ends a session, by whichever of its keys. False if there was none.
    pub fn close(&self, key: &SessionKey) -> bool {
        let mut inner = self.inner.lock();
        let Some(closed) = inner.sessions.remove(key) else {
            return false;
        };
        inner.sessions.retain(|_, session| session.id != closed.id);
        true
    }

    /// All sessions, in the order they were started.
    pub fn list(&self) -> Vec<Arc<Session>> {
        let sorted: BTreeMap<u64, Arc<Session>> = self
            .inner
            .lock()
            .sessions
            .values()
            .map(|session| (session.id, Arc::clone(session)))
            .collect();
        sorted.into_values().collect()
    }

    /// Forgets idle sessions.
    pub fn expire(&self, now: Instant) {
        self.inner
            .lock()
            .sessions
            .retain(|_, session| session.idle(now) < self.idle_limit);
    }

    /// Makes room for one more session: the one unused for longest goes.
    fn make_room(&self) {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        while inner.sessions.len() >= self.max {
            let Some(oldest) = inner
                .sessions
                .iter()
                .max_by_key(|(_, session)| session.idle(now))
                .map(|(key, _)| key.clone())
            else {
                return;
            };
            inner.sessions.remove(&oldest);
        }
    }
}

/// 128 random bits as text.
///
/// # Errors
/// [`Error::Internal`] if the system gives none.
pub(crate) fn random_token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_token_finds_its_session_again() {
        let sessions = Sessions::new(HOUR, 10);
        let token = sessions.login("ada").unwrap();
        let session = sessions.of(&SessionKey::Token(token.clone())).unwrap();
        session.set_schema("s");
        let again = sessions.of(&SessionKey::Token(token.clone())).unwrap();
        assert_eq!((again.user.as_str(), again.schema().as_str()), ("ada", "s"));
        assert!(sessions.close(&SessionKey::Token(token.clone())));
        assert!(matches!(
            sessions.of(&SessionKey::Token(token)),
            Err(Error::Unauthenticated(_))
        ));
    }

    #[test]
    fn connections_have_sessions_of_their_own() {
        let sessions = Sessions::new(HOUR, 10);
        sessions.of(&SessionKey::Connection(1)).unwrap().set_schema("s");
        assert_eq!(sessions.of(&SessionKey::Connection(1)).unwrap().schema(), "s");
        let other = sessions.of(&SessionKey::Connection(2)).unwrap();
        assert_eq!(
            (other.user.as_str(), other.schema().as_str()),
            (ANONYMOUS, DEFAULT_SCHEMA)
        );
    }

    #[test]
    fn idle_sessions_are_forgotten() {
        let sessions = Sessions::new(Duration::ZERO, 10);
        let token = sessions.login("ada").unwrap();
        assert!(sessions.of(&SessionKey::Token(token)).is_err());
        sessions.of(&SessionKey::Connection(1)).unwrap();
        sessions.expire(Instant::now());
        assert!(sessions.list().is_empty());
    }

    #[test]
    fn the_longest_unused_makes_room() {
        let sessions = Sessions::new(HOUR, 2);
        for connection in 1..=3 {
            sessions.of(&SessionKey::Connection(connection)).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(
            sessions.list().iter().map(|session| session.id).collect::<Vec<_>>(),
            [2, 3]
        );
    }
}
