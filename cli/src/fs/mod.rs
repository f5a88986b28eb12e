//! `quarry fs`: the file system commands, with the arguments, output and exit codes of `hdfs dfs`.
//!
//! | module | duty |
//! |---|---|
//! | [`verbs`], [`format`], [`generic`] | which commands there are, how their words are read, `-D` |
//! | [`session`], [`item`], [`glob`] | a command at work: what its arguments name, what it prints, what fails |
//! | [`place`], [`local`] | the two kinds of file system |
//! | the others | the commands, by what they are about |
//!
//! Errors are worded as HDFS words them, for scripts read them; see [`failure`].

mod acl;
mod attributes;
mod blocks;
mod copy;
mod delete;
mod display;
mod failure;
mod find;
mod format;
mod generic;
mod glob;
mod item;
mod local;
mod ls;
mod mkdir;
mod mode;
mod place;
mod progress;
mod session;
mod stat;
#[cfg(test)]
mod testing;
mod units;
mod usage;
mod verbs;
mod xattr;

use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use quarry_dfs_client::{DfsClientConfig, HadoopConf};

use crate::config::ClientConfig;
use crate::locate;
pub use failure::{FsError, PathError};
use generic::Generic;
use session::Session;

/// Exit code of a command line that makes no sense: HDFS's -1.
const USAGE_CODE: u8 = 255;

/// Flags of `quarry fs`.
#[derive(Debug, Clone, Args)]
#[command(after_help = verbs::overview())]
pub struct FsArgs {
    /// The cluster and the user.
    #[command(flatten)]
    pub cluster: FsClusterArgs,
    /// Set one of Hadoop's configuration keys for this command: dfs.replication, dfs.blocksize, fs.permissions.umask-mode,
    /// fs.trash.interval; others are passed over
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    pub define: Vec<String>,
    /// Directory of Hadoop's core-site.xml and hdfs-site.xml: name services, fs.defaultFS and the client's settings are as they say
    /// [default: HADOOP_CONF_DIR]
    #[arg(long, value_name = "DIR")]
    pub conf: Option<PathBuf>,
    /// The command, then its options and paths
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub words: Vec<String>,
}

/// Which file system, and as whom.
#[derive(Debug, Clone, Default, Args)]
pub struct FsClusterArgs {
    /// The NameNode's RPC address [default: configuration, else the cluster last started by `quarry local`]
    #[arg(long, env = "QUARRY_NAMENODE", value_name = "HOST:PORT")]
    pub namenode: Option<String>,
    /// The user [default: HADOOP_USER_NAME, else the operating system's]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

/// Runs `quarry fs`.
///
/// # Errors
/// A `-D` that makes no sense. What a command failed on is reported and is in the exit code.
pub async fn run(args: FsArgs, config: &ClientConfig) -> anyhow::Result<ExitCode> {
    let generic = Generic::parse(&args.define)?;
    let mut words = args.words;
    if words.is_empty() {
        eprint!("{}", verbs::overview());
        return Ok(ExitCode::from(USAGE_CODE));
    }
    let verb = words.remove(0);
    let verb = verb.strip_prefix('-').unwrap_or(&verb).to_owned();
    let config = config.clone();
    let hadoop = hadoop_conf(args.conf.as_deref(), &args.define)?;
    let clusters = move |authority: Option<&str>| cluster_config(&config, hadoop.as_ref(), authority);
    let out = Box::new(BufWriter::with_capacity(1 << 16, io::stdout()));
    let mut session = Session::new(&verb, Box::new(clusters), generic, out, Box::new(io::stderr()));
    Ok(ExitCode::from(run_verb(&mut session, &verb, words).await))
}

/// Hadoop's configuration, if a flag or the environment names one.
fn hadoop_conf(dir: Option<&Path>, defined: &[String]) -> anyhow::Result<Option<HadoopConf>> {
    let conf = match dir {
        Some(dir) => Some(HadoopConf::load(dir)?),
        None => HadoopConf::from_env()?,
    };
    Ok(conf.map(|mut conf| {
        for (key, value) in defined.iter().filter_map(|pair| pair.split_once('=')) {
            conf.set(key, value);
        }
        conf
    }))
}

/// The client settings for a named cluster. Without a name: the configured one, that of Hadoop's `fs.defaultFS`, or the one last started.
fn cluster_config(
    config: &ClientConfig,
    hadoop: Option<&HadoopConf>,
    authority: Option<&str>,
) -> anyhow::Result<DfsClientConfig> {
    let default = || match (&config.namenode, hadoop.and_then(HadoopConf::default_authority)) {
        (None, Some(authority)) => Ok(authority),
        _ => locate::namenode(config),
    };
    let authority = authority.map_or_else(default, |name| Ok(name.to_owned()))?;
    let Some(hadoop) = hadoop else {
        return Ok(dfs_config(config, authority));
    };
    let mut client = dfs_config(config, hadoop.namenodes(&authority)?.join(","));
    hadoop.apply(&mut client)?;
    Ok(client)
}

/// The client settings for the cluster at `namenode`.
pub fn dfs_config(config: &ClientConfig, namenode: String) -> DfsClientConfig {
    DfsClientConfig {
        user: locate::user(config),
        replication: config.replication,
        block_size: config.block_size,
        ..DfsClientConfig::new(namenode)
    }
}

/// Runs one command; its exit code.
async fn run_verb(session: &mut Session, verb: &str, mut words: Vec<String>) -> u8 {
    let mut verb = verb;
    if let Some((_, name, option, instead)) = verbs::OBSOLETE.iter().find(|(name, ..)| *name == verb) {
        session.say_named(&format_args!("DEPRECATED: Please use '{instead}' instead."));
        words.insert(0, (*option).to_owned());
        verb = name;
    }
    let outcome = match words.first().map(String::as_str) {
        Some("--help") => help(session, vec![verb.to_owned()], true),
        _ => perform(session, verb, words).await,
    };
    session.note(outcome);
    let flushed = session.flush();
    session.note(flushed);
    if !session.is_misused() {
        return session.code();
    }
    if let Some(verb) = verbs::named(verb) {
        session.say(verb.call());
    }
    USAGE_CODE
}

async fn perform(session: &mut Session, verb: &str, words: Vec<String>) -> Result<(), FsError> {
    match verb {
        "appendToFile" => copy::append_to_file(session, words).await,
        "cat" => display::cat(session, words).await,
        "checksum" => display::checksum(session, words).await,
        "chgrp" => attributes::chgrp(session, words).await,
        "chmod" => attributes::chmod(session, words).await,
        "chown" => attributes::chown(session, words).await,
        "concat" => blocks::concat(session, words).await,
        "copyFromLocal" | "put" => copy::put(session, words).await,
        "copyToLocal" | "get" => copy::get(session, words).await,
        "count" => usage::count(session, words).await,
        "cp" => copy::cp(session, words).await,
        "df" => usage::df(session, words).await,
        "du" => usage::du(session, words).await,
        "expunge" => delete::expunge(session, words).await,
        "find" => find::find(session, words).await,
        "getfacl" => acl::getfacl(session, words).await,
        "getfattr" => xattr::getfattr(session, words).await,
        "getmerge" => copy::getmerge(session, words).await,
        "head" => display::head(session, words).await,
        "ls" => ls::ls(session, words).await,
        "mkdir" => mkdir::mkdir(session, words).await,
        "moveFromLocal" => copy::move_from_local(session, words).await,
        "mv" => copy::mv(session, words).await,
        "rm" => delete::rm(session, words).await,
        "rmdir" => delete::rmdir(session, words).await,
        "setfacl" => acl::setfacl(session, words).await,
        "setfattr" => xattr::setfattr(session, words).await,
        "setrep" => attributes::setrep(session, words).await,
        "stat" => stat::stat(session, words).await,
        "tail" => display::tail(session, words).await,
        "test" => stat::test(session, words).await,
        "text" => display::text(session, words).await,
        "touch" => mkdir::touch(session, words).await,
        "touchz" => mkdir::touchz(session, words).await,
        "truncate" => blocks::truncate(session, words).await,
        "help" => help(session, words, true),
        "usage" => help(session, words, false),
        "moveToLocal" => Err(FsError::Other(
            "Option '-moveToLocal' is not implemented yet.".to_owned(),
        )),
        "createSnapshot" | "deleteSnapshot" | "renameSnapshot" => {
            Err(FsError::Other("snapshots are not supported".to_owned()))
        }
        _ => Err(FsError::Usage("Unknown command".to_owned())),
    }
}

/// Tells how the named commands are called, or all; with `long`, also what they do.
fn help(session: &mut Session, names: Vec<String>, long: bool) -> Result<(), FsError> {
    if names.is_empty() {
        return session.print(verbs::overview());
    }
    for name in names {
        let name = name.strip_prefix('-').unwrap_or(&name);
        match verbs::named(name) {
            None => {
                session.note::<()>(Err(FsError::Other(format!("`{name}': Unknown command"))));
            }
            Some(verb) if long => session.print(format_args!("{} {} :\n  {}", verb.name, verb.usage, verb.help))?,
            Some(verb) => session.print(verb.call())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{ClientConfig, USAGE_CODE, cluster_config, hadoop_conf, testing, verbs};

    #[test]
    fn clusters_are_hadoops_name_services() {
        let dir = tempfile::tempdir().unwrap();
        let property =
            |name: &str, value: &str| format!("<property><name>{name}</name><value>{value}</value></property>");
        let core = property("fs.defaultFS", "hdfs://mycluster");
        let hdfs = [
            property("dfs.nameservices", "mycluster"),
            property("dfs.ha.namenodes.mycluster", "a,b"),
            property("dfs.namenode.rpc-address.mycluster.a", "one:1"),
            property("dfs.namenode.rpc-address.mycluster.b", "two:2"),
            property("dfs.replication", "2"),
        ];
        for (name, text) in [("core-site.xml", core), ("hdfs-site.xml", hdfs.concat())] {
            std::fs::write(dir.path().join(name), format!("<configuration>{text}</configuration>")).unwrap();
        }
        let define = ["dfs.replication=4".to_owned()];
        let conf = hadoop_conf(Some(dir.path()), &define).unwrap();
        let config = ClientConfig::default();
        let client = |authority| cluster_config(&config, conf.as_ref(), authority).unwrap();
        for authority in [None, Some("mycluster")] {
            assert_eq!(client(authority).namenode, "one:1,two:2");
            assert_eq!(client(authority).replication, Some(4));
        }
        assert_eq!(client(Some("host:9")).namenode, "host:9");
        let named = ClientConfig {
            namenode: Some("other:8020".to_owned()),
            ..ClientConfig::default()
        };
        assert_eq!(
            cluster_config(&named, conf.as_ref(), None).unwrap().namenode,
            "other:8020"
        );
    }

    #[tokio::test]
    async fn every_command_has_its_help_and_is_known() {
        for verb in verbs::VERBS {
            let ran = testing::run("help", &[verb.name]).await;
            assert!(
                ran.out.starts_with(&format!("{} {} :\n", verb.name, verb.usage)),
                "{}",
                ran.out
            );
            let ran = testing::run(verb.name, &["-no-such-option", "a", "b", "c"]).await;
            assert!(
                !ran.err.contains("Unknown command") || verb.name == "help" || verb.name == "usage",
                "{}",
                ran.err
            );
        }
    }

    #[tokio::test]
    async fn an_unknown_command_is_a_usage_error() {
        let ran = testing::run("frobnicate", &["/"]).await;
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (USAGE_CODE, "frobnicate: Unknown command\n")
        );
        let ran = testing::run("ls", &["-y"]).await;
        assert_eq!(ran.code, USAGE_CODE);
        assert!(
            ran.err.starts_with("ls: Illegal option -y\nUsage: quarry fs ls ["),
            "{}",
            ran.err
        );
    }

    #[tokio::test]
    async fn obsolete_commands_say_what_to_use() {
        let dir = testing::tree();
        let ran = testing::run("lsr", &["-C", &dir.url("/sub")]).await;
        assert_eq!(ran.err, "lsr: DEPRECATED: Please use 'ls -R' instead.\n");
        assert_eq!(ran.out, format!("{}\n", dir.url("/sub/b.txt")));
    }

    #[tokio::test]
    async fn what_does_not_exist_says_so_by_name() {
        let ran = testing::run("createSnapshot", &["/x"]).await;
        assert_eq!(
            (ran.code, ran.err.as_str()),
            (1, "createSnapshot: snapshots are not supported\n")
        );
    }
}
