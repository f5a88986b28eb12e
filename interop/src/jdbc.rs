//! JDBC: programs of `java/jdbc` on a driver's jar, and sqlline, a shell for any driver, as a person uses it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::USER;
use crate::java::ClassPath;
use crate::process::{Finished, Group};

/// Arrow's memory on Java 17 wants it; the driver's documentation tells every user so.
const OPENED: &str = "--add-opens=java.base/java.nio=ALL-UNNAMED";

/// A driver with the programs of `java/jdbc`, compiled.
#[derive(Debug)]
pub struct Driver {
    path: ClassPath,
}

impl Driver {
    /// Compiles the programs into the empty folder `classes`; `jars` is the driver's folder.
    ///
    /// # Errors
    /// `javac` is missing or does not like them.
    pub fn new(jars: &Path, classes: &Path) -> Result<Self> {
        std::fs::create_dir_all(classes)?;
        let path = ClassPath::new(classes, &[jars]);
        path.compile("jdbc")?;
        Ok(Self { path })
    }

    fn java(&self) -> Result<Command> {
        let mut command = self.path.java(USER)?;
        // Days and times of day are compared as text.
        command.arg(OPENED).arg("-Duser.timezone=UTC");
        Ok(command)
    }

    /// Runs one of the programs and waits for its end.
    ///
    /// # Errors
    /// It did not start, or took longer than `limit`.
    pub fn run(&self, main: &str, args: &[&str], limit: Duration) -> Result<Finished> {
        let mut command = self.java()?;
        command.arg(main).args(args);
        Group::run(&mut command, limit).with_context(|| format!("java {main}"))
    }

    /// Starts sqlline, connected to a coordinator as a user with a password, with these additional parts of the URL. It is spoken to through
    /// pipes: what it says is its answers alone.
    ///
    /// # Errors
    /// It did not start.
    pub fn sqlline(&self, address: SocketAddr, login: (&str, &str), further: &str) -> Result<SqlLine> {
        SqlLine::start(&mut self.sqlline_command(address, login, further)?)
    }

    /// As [`Self::sqlline`], at a terminal: it says what is typed, too, and there is Ctrl-C.
    ///
    /// # Errors
    /// As there.
    pub fn sqlline_at_a_terminal(&self, address: SocketAddr, login: (&str, &str), further: &str) -> Result<SqlLine> {
        SqlLine::start(&mut at_a_terminal(&self.sqlline_command(address, login, further)?)?)
    }

    fn sqlline_command(&self, address: SocketAddr, (user, password): (&str, &str), further: &str) -> Result<Command> {
        let mut command = self.java()?;
        let url = format!("jdbc:arrow-flight-sql://{address}/?useEncryption=false{further}");
        // A plain terminal, or none: no colours, no moving about.
        command.env("TERM", "dumb").arg("sqlline.SqlLine");
        command.args(["-d", "org.apache.arrow.driver.jdbc.ArrowFlightJdbcDriver", "-u", &url]);
        command.args(["-n", user, "-p", password]);
        // Silent: neither a prompt nor the number of rows stands among the rows.
        command.args(["--silent=true", "--color=false", "--outputFormat=csv"]);
        // The isolation that it asks for otherwise is no driver's concern here, and it says so each time.
        command.arg("--isolation=TRANSACTION_NONE");
        Ok(command)
    }
}

/// The same command at a terminal of its own, which `script` makes; what it is told through its stdin is typed there.
fn at_a_terminal(command: &Command) -> Result<Command> {
    // `script` gives it a session of its own, where the end of our process group does not reach it: it ends with `script`.
    let mut words = ["exec", "setpriv", "--pdeathsig", "KILL"].map(str::to_owned).to_vec();
    for word in std::iter::once(command.get_program()).chain(command.get_args()) {
        let word = word.to_str().context("arguments are text")?;
        words.push(format!("'{}'", word.replace('\'', "'\\''")));
    }
    // Whoever starts the tests in the background of a shell has Ctrl-C ignored, and so would have each child.
    let mut terminal = Command::new("env");
    terminal.args(["--default-signal=INT", "script", "-q", "-e", "-f", "-c"]);
    terminal.arg(words.join(" ")).arg("/dev/null");
    terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ok(terminal)
}

/// A running sqlline; ends when dropped.
#[derive(Debug)]
pub struct SqlLine {
    _process: Group,
    input: ChildStdin,
    heard: Arc<Heard>,
    /// How much of what it said was waited for.
    seen: usize,
}

/// What a program has said so far.
#[derive(Debug, Default)]
struct Heard {
    text: Mutex<Vec<u8>>,
    more: Condvar,
}

impl Heard {
    fn listen(self: &Arc<Self>, mut pipe: impl Read + Send + 'static) {
        let heard = Arc::clone(self);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut bytes) {
                let mut text = heard.text.lock().unwrap_or_else(PoisonError::into_inner);
                text.extend_from_slice(&bytes[..count]);
                heard.more.notify_all();
            }
        });
    }
}

impl SqlLine {
    fn start(command: &mut Command) -> Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = Group::start("sqlline", command)?;
        let child = process.child();
        let input = child.stdin.take().context("stdin is piped")?;
        let heard = Arc::new(Heard::default());
        heard.listen(child.stdout.take().context("stdout is piped")?);
        heard.listen(child.stderr.take().context("stderr is piped")?);
        Ok(Self {
            _process: process,
            input,
            heard,
            seen: 0,
        })
    }

    /// Types a line.
    ///
    /// # Errors
    /// It has ended.
    pub fn say(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").and_then(|()| self.input.flush())?;
        Ok(())
    }

    /// Waits until it says `words`, and returns what it said since the last such wait, up to there.
    ///
    /// # Errors
    /// It did not within `limit`: with what it said instead.
    pub fn wait_for(&mut self, words: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        let mut text = self.heard.text.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let new = String::from_utf8_lossy(&text[self.seen..]).into_owned();
            if let Some(at) = new.find(words) {
                self.seen += at + words.len();
                return Ok(new[..at].to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("sqlline did not say {words:?} within {limit:?}; it said:\n{new}");
            }
            let waited = self.heard.more.wait_timeout(text, left);
            text = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Types Ctrl-C, which means something at a terminal only.
    ///
    /// # Errors
    /// It has ended.
    pub fn interrupt(&mut self) -> Result<()> {
        self.input.write_all(b"\x03").and_then(|()| self.input.flush())?;
        Ok(())
    }
}
