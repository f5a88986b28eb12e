//! Commands that change names only: `mkdir`, `mv`, `rm`.

use clap::Args;
use quarry_dfs_client::RenameOptions;

use super::target::Target;
use super::{FsError, Session};

/// Flags of `mkdir`.
#[derive(Debug, Clone, Args)]
pub struct MkdirArgs {
    /// Make missing parents too, and do not complain about what exists
    #[arg(short = 'p')]
    parents: bool,
    /// Directories to make
    #[arg(required = true)]
    pub(super) paths: Vec<String>,
}

/// Flags of `mv`.
#[derive(Debug, Clone, Args)]
pub struct MvArgs {
    /// SOURCE... DESTINATION; with several sources the destination is a directory
    #[arg(required = true, num_args = 2..)]
    pub(super) paths: Vec<String>,
}

/// Flags of `rm`.
#[derive(Debug, Clone, Args)]
pub struct RmArgs {
    /// Delete directories with all they hold
    #[arg(short = 'r', visible_short_alias = 'R')]
    recursive: bool,
    /// Do not complain about what does not exist
    #[arg(short = 'f')]
    force: bool,
    /// Delete at once (`-skipTrash` also works; there is no trash yet, so this is always so)
    #[arg(long)]
    skip_trash: bool,
    /// Files and directories to delete
    #[arg(required = true)]
    pub(super) paths: Vec<String>,
}

impl Session {
    pub(super) async fn mkdir(&mut self, args: MkdirArgs) -> Result<(), FsError> {
        for argument in &args.paths {
            let target = self.target(argument);
            let outcome = self.mkdir_one(&target, args.parents).await;
            self.note(outcome);
        }
        Ok(())
    }

    async fn mkdir_one(&self, target: &Target, parents: bool) -> Result<(), FsError> {
        match self.dfs.status(&target.path).await? {
            Some(status) if status.is_directory() && parents => return Ok(()),
            Some(status) if !status.is_directory() => return Err(FsError::NotADirectory(target.shown.clone())),
            Some(_) => return Err(FsError::Exists(target.shown.clone())),
            None => {}
        }
        if !parents && self.dfs.status(target.parent()).await?.is_none() {
            return Err(FsError::Absent(target.parent().to_owned()));
        }
        self.dfs.mkdirs(&target.path).await?;
        Ok(())
    }

    pub(super) async fn mv(&mut self, args: MvArgs) -> Result<(), FsError> {
        let (destination, sources) = args.paths.split_last().expect("the parser asks for two paths or more");
        let destination = self.target(destination);
        let into = self
            .dfs
            .status(&destination.path)
            .await?
            .is_some_and(|status| status.is_directory());
        if sources.len() > 1 && !into {
            return Err(FsError::NotADirectory(destination.shown));
        }
        for argument in sources {
            let source = self.target(argument);
            let to = if into {
                destination.child(source.name())
            } else {
                destination.clone()
            };
            let outcome = self.mv_one(&source, &to).await;
            self.note(outcome);
        }
        Ok(())
    }

    async fn mv_one(&self, source: &Target, to: &Target) -> Result<(), FsError> {
        self.existing(source).await?;
        if self.dfs.status(&to.path).await?.is_some() {
            return Err(FsError::Exists(to.shown.clone()));
        }
        if self.dfs.status(to.parent()).await?.is_none() {
            return Err(FsError::Absent(to.parent().to_owned()));
        }
        self.dfs
            .rename(&source.path, &to.path, RenameOptions::default())
            .await?;
        Ok(())
    }

    pub(super) async fn rm(&mut self, args: RmArgs) -> Result<(), FsError> {
        for argument in &args.paths {
            let target = self.target(argument);
            let outcome = self.rm_one(&target, &args).await;
            self.note(outcome);
        }
        Ok(())
    }

    async fn rm_one(&self, target: &Target, args: &RmArgs) -> Result<(), FsError> {
        let status = match self.existing(target).await {
            Err(FsError::Absent(_)) if args.force => return Ok(()),
            other => other?,
        };
        if status.is_directory() && !args.recursive {
            return Err(FsError::IsDirectory(target.shown.clone()));
        }
        self.dfs.delete(&target.path, args.recursive).await?;
        println!("Deleted {}", target.shown);
        Ok(())
    }
}
