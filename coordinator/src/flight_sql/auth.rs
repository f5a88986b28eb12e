//! Who is calling: handshake, bearer tokens, cookies, connections.
//!
//! Without a users file clients are believed, as HDFS's simple authentication believes them: that is why the configuration keeps such a server
//! on the loopback address. What is checked is the form, and that a token is one we gave out. With a users file each call needs the token of
//! a handshake, or one from the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_flight::{BasicAuth, HandshakeRequest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Status, Streaming};

use super::status;
use crate::error::{Error, Result};
use crate::session::{ANONYMOUS, Session, SessionKey, Sessions};
use crate::users::Users;

/// Cookie that names a session, by the Arrow format.
pub(super) const COOKIE: &str = "arrow_flight_session_id";
/// Time for a client to send its credentials.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Numbers a connection; sessions of clients without token and cookie hang on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionId(u64);

impl ConnectionId {
    /// The next number.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// The session of a call.
pub(super) fn session(
    sessions: &Sessions,
    users: &Users,
    metadata: &MetadataMap,
    extensions: &Extensions,
) -> Result<Arc<Session>, Status> {
    let session = key(metadata, extensions).and_then(|key| session_of(sessions, users, &key));
    session.map_err(|error| status::of(&error))
}

fn session_of(sessions: &Sessions, users: &Users, key: &SessionKey) -> Result<Arc<Session>> {
    match key {
        SessionKey::Token(token) => match users.of_token(token) {
            Some(user) => Ok(sessions.of_own_token(token, user)),
            None => sessions.of(key),
        },
        SessionKey::Cookie(_) | SessionKey::Connection(_) if users.are_required() => Err(Error::Unauthenticated(
            "this server has a list of users; log in with user and password, or with a token".to_owned(),
        )),
        SessionKey::Cookie(_) | SessionKey::Connection(_) => sessions.of(key),
    }
}

/// How the caller of a call is recognized.
pub(super) fn key(metadata: &MetadataMap, extensions: &Extensions) -> Result<SessionKey> {
    if let Some(credentials) = authorization(metadata)? {
        return match credentials {
            Credentials::Bearer(token) => Ok(SessionKey::Token(token)),
            Credentials::Basic { .. } => Err(Error::Unauthenticated(
                "user and password belong in a Handshake; later calls carry its token".to_owned(),
            )),
        };
    }
    if let Some(cookie) = cookie(metadata) {
        return Ok(SessionKey::Cookie(cookie));
    }
    let connection = extensions.get::<ConnectionId>().map_or(0, |id| id.0);
    Ok(SessionKey::Connection(connection))
}

/// What an `authorization` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    Bearer(String),
    Basic { user: String, password: String },
}

/// Reads the header. ADBC sends it twice with one value.
fn authorization(metadata: &MetadataMap) -> Result<Option<Credentials>> {
    let mut values = metadata.get_all("authorization").iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) {
        return Err(Error::Unauthenticated(
            "several authorization headers contradict each other".to_owned(),
        ));
    }
    let text = first.to_str().map_err(|_| malformed())?;
    let (scheme, value) = text.split_once(' ').ok_or_else(malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Some(Credentials::Bearer(value.trim().to_owned())));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = BASE64_STANDARD.decode(value.trim()).map_err(|_| malformed())?;
        let decoded = String::from_utf8(decoded).map_err(|_| malformed())?;
        let (user, password) = decoded.split_once(':').ok_or_else(malformed)?;
        let (user, password) = checked_login(user, password)?;
        return Ok(Some(Credentials::Basic { user, password }));
    }
    Err(malformed())
}

fn malformed() -> Error {
    Error::Unauthenticated(
        "the authorization header is neither `Basic <user:password in base64>` nor `Bearer <token>`".to_owned(),
    )
}

/// A login whose form is right. Neither name nor password is an anonymous client: shells send that if one presses Enter at both questions.
fn checked_login(user: &str, password: &str) -> Result<(String, String)> {
    if user.is_empty() && password.is_empty() {
        return Ok((ANONYMOUS.to_owned(), String::new()));
    }
    if user.is_empty() || user.len() > 256 || user.chars().any(char::is_control) {
        return Err(Error::Unauthenticated(
            "the user name is empty, too long, or holds control characters".to_owned(),
        ));
    }
    Ok((user.to_owned(), password.to_owned()))
}

/// The value of our cookie, if it has the form we give out.
fn cookie(metadata: &MetadataMap) -> Option<String> {
    let cookies = metadata
        .get_all("cookie")
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = cookies
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.find(|(name, _)| *name == COOKIE)?.1;
    let ours = value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    ours.then(|| value.to_owned())
}

/// Answers a handshake: the token of the caller's session, new unless it sent one.
pub(super) async fn handshake(
    sessions: &Sessions,
    users: &Users,
    metadata: &MetadataMap,
    messages: &mut Streaming<HandshakeRequest>,
) -> Result<String> {
    let (user, password) = match authorization(metadata)? {
        Some(Credentials::Bearer(token)) => {
            session_of(sessions, users, &SessionKey::Token(token.clone()))?;
            return Ok(token);
        }
        Some(Credentials::Basic { user, password }) => (user, password),
        None => credentials_in_message(messages).await?,
    };
    if users.knows(&user, &password) {
        sessions.login(&user)
    } else {
        tracing::warn!(user, "refused: unknown user or wrong password");
        Err(Error::Unauthenticated("unknown user or wrong password".to_owned()))
    }
}

/// Older clients send user and password in the message; an empty or missing one is an anonymous client.
async fn credentials_in_message(messages: &mut Streaming<HandshakeRequest>) -> Result<(String, String)> {
    let message = tokio::time::timeout(HANDSHAKE_TIMEOUT, messages.message()).await;
    let message = message.map_err(|_| Error::Unauthenticated("no handshake message came".to_owned()))?;
    match message {
        Ok(Some(request)) if !request.payload.is_empty() => {
            let auth = BasicAuth::decode(request.payload).map_err(|_| malformed())?;
            checked_login(&auth.username, &auth.password)
        }
        Ok(_) => Ok((ANONYMOUS.to_owned(), String::new())),
        Err(_) => Err(Error::Unauthenticated("the handshake broke off".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(values: &[(&'static str, &str)]) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for (name, value) in values {
            metadata.append(*name, value.parse().unwrap());
        }
        metadata
    }

    fn key_of(values: &[(&'static str, &str)]) -> Result<SessionKey> {
        key(&headers(values), &Extensions::default())
    }

    #[test]
    fn a_token_wins_over_a_cookie_and_that_over_the_connection() {
        let cookie = "0123456789abcdef0123456789abcdef";
        let pair = format!("other=1; {COOKIE}={cookie}");
        let all = [
            ("authorization", "Bearer t"),
            ("authorization", "Bearer t"),
            ("cookie", pair.as_str()),
        ];
        assert_eq!(key_of(&all).unwrap(), SessionKey::Token("t".into()));
        assert_eq!(key_of(&all[2..]).unwrap(), SessionKey::Cookie(cookie.into()));
        assert_eq!(
            key_of(&[("cookie", &format!("{COOKIE}=guessed"))]).unwrap(),
            SessionKey::Connection(0)
        );
    }

    #[test]
    fn credentials_of_no_known_form_are_refused() {
        for value in [
            "",
            "Bearer",
            "Basic !!!",
            "Basic bm9jb2xvbg==",
            "Digest x",
            "Basic OnB3",
        ] {
            assert!(key_of(&[("authorization", value)]).is_err(), "{value}");
        }
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        assert!(key_of(&twice).is_err());
    }

    #[test]
    fn neither_name_nor_password_is_anonymous() {
        let credentials = authorization(&headers(&[("authorization", "Basic Og==")])).unwrap();
        let expected = Credentials::Basic {
            user: ANONYMOUS.into(),
            password: String::new(),
        };
        assert_eq!(credentials, Some(expected));
        let users = Users::default();
        assert!(users.knows(ANONYMOUS, ""));
    }

    #[test]
    fn basic_credentials_name_the_user() {
        let header = format!("Basic {}", BASE64_STANDARD.encode("ada:secret:with:colons"));
        let credentials = authorization(&headers(&[("authorization", &header)])).unwrap();
        let expected = Credentials::Basic {
            user: "ada".into(),
            password: "secret:with:colons".into(),
        };
        assert_eq!(credentials, Some(expected));
    }
}
