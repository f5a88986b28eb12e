//! Copying the bytes and attributes of files, several at a time.

use futures::StreamExt;
use quarry_dfs_client::XAttrMode;

use super::super::failure::FsError;
use super::super::item::Item;
use super::super::place::{Place, Source, pump};
use super::super::progress::Progress;
use super::super::session::Session;
use super::{crc_file, temporary};

/// How files are copied.
#[derive(Debug, Clone, Default)]
pub(super) struct How {
    /// Replaces files that are there.
    pub(super) overwrite: bool,
    /// Writes under the final name at once.
    pub(super) direct: bool,
    /// Writes a file of checksums beside each local file.
    pub(super) write_crc: bool,
    /// Deletes what was copied.
    pub(super) remove_source: bool,
    /// What is kept beside the bytes.
    pub(super) attributes: Attributes,
    /// Files at the same time.
    pub(super) threads: usize,
}

/// What a copy keeps beside the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    times: bool,
    ownership: bool,
    permission: bool,
    acl: bool,
    xattrs: bool,
}

impl Attributes {
    /// Nothing.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// What `-p` keeps.
    pub(super) fn usual() -> Self {
        Self {
            times: true,
            ownership: true,
            permission: true,
            ..Self::default()
        }
    }

    /// The letters after `-p`; none mean the usual.
    ///
    /// # Errors
    /// A letter that stands for nothing.
    pub(super) fn parse(letters: &str) -> Result<Self, FsError> {
        if letters.is_empty() {
            return Ok(Self::usual());
        }
        let mut attributes = Self::none();
        for letter in letters.chars() {
            match letter.to_ascii_lowercase() {
                't' => attributes.times = true,
                'o' => attributes.ownership = true,
                'p' => attributes.permission = true,
                'a' => attributes.acl = true,
                'x' => attributes.xattrs = true,
                letter => return Err(FsError::Usage(format!("No attribute for {letter}"))),
            }
        }
        // An access control list has the permission bits in it.
        attributes.permission |= attributes.acl;
        Ok(attributes)
    }
}

/// One file to copy.
#[derive(Debug)]
pub(super) struct Job {
    /// From where.
    pub(super) source: Item,
    /// To where.
    pub(super) target: Item,
}

/// Copies files, reporting failures in the files' order; how many arrived.
pub(super) async fn run(session: &mut Session, jobs: Vec<Job>, how: &How) -> usize {
    let length = |job: &Job| job.source.status.as_ref().map_or(0, |status| status.length);
    let progress = Progress::of_files(jobs.len(), jobs.iter().map(length).sum());
    let mut copies = futures::stream::iter(jobs)
        .map(|job| {
            let progress = &progress;
            async move { copy_file(&job, how, progress).await }
        })
        .buffered(how.threads.max(1));
    let mut arrived = 0;
    while let Some(copied) = copies.next().await {
        if copied.is_err() {
            progress.pause();
        }
        arrived += usize::from(session.note(copied).is_some());
    }
    arrived
}

async fn copy_file(job: &Job, how: &How, progress: &Progress) -> Result<(), FsError> {
    let Job { source, target } = job;
    check_free(target, how).await?;
    let mut bytes = source
        .place
        .open(&source.path)
        .await
        .map_err(|error| unreadable(source, error))?;
    write_as_told(&mut bytes, target, how, progress).await?;
    preserve(source, target, &how.attributes).await?;
    if how.write_crc && matches!(target.place, Place::Local) {
        crc_file::write(target)?;
    }
    if how.remove_source {
        source.place.delete(&source.path, false).await?;
    }
    progress.file_done();
    Ok(())
}

fn unreadable(source: &Item, error: FsError) -> FsError {
    if error.is_absent() {
        FsError::absent(&source.shown)
    } else {
        error
    }
}

/// Copies standard input.
pub(super) async fn from_stdin(session: &mut Session, target: &Item, how: &How) -> Result<(), FsError> {
    if !target.exists() && target.place.status(target.parent()).await?.is_none() {
        return Err(FsError::absent_parent(&target.shown, target.qualified()));
    }
    let progress = Progress::of_stream(target.name());
    let copied = match check_free(target, how).await {
        Ok(()) => write_as_told(&mut Source::Stdin(tokio::io::stdin()), target, how, &progress).await,
        Err(error) => Err(error),
    };
    progress.pause();
    session.note(copied);
    Ok(())
}

/// Refuses a target that is in the way.
async fn check_free(target: &Item, how: &How) -> Result<(), FsError> {
    match target.place.status(&target.path).await? {
        Some(status) if status.is_directory() || !how.overwrite => Err(FsError::exists(&target.shown)),
        _ => Ok(()),
    }
}

async fn write_as_told(from: &mut Source, target: &Item, how: &How, progress: &Progress) -> Result<(), FsError> {
    if how.direct {
        return write(from, target, &target.path, progress).await;
    }
    let copying = temporary(&target.path);
    let published = match write(from, target, &copying, progress).await {
        Ok(()) => target.place.rename_over(&copying, &target.path).await,
        failed => failed,
    };
    if published.is_err() {
        // The copy failed and says why; that its rest may stay behind would only hide that.
        let _ = target.place.delete(&copying, false).await;
    }
    published
}

async fn write(from: &mut Source, target: &Item, path: &str, progress: &Progress) -> Result<(), FsError> {
    let mut sink = target.place.create(path).await?;
    pump(from, &mut sink, |bytes| progress.add(bytes)).await?;
    sink.close().await
}

/// Gives `target` those attributes of `source`.
pub(super) async fn preserve(source: &Item, target: &Item, attributes: &Attributes) -> Result<(), FsError> {
    if *attributes == Attributes::none() {
        return Ok(());
    }
    let status = source.status()?;
    let (place, path) = (&target.place, target.path.as_str());
    if attributes.ownership {
        place.set_owner(path, Some(&status.owner), Some(&status.group)).await?;
    }
    if attributes.permission {
        place.set_permission(path, status.permission).await?;
    }
    if attributes.acl && status.has_acl {
        preserve_acl(source, target).await?;
    }
    if attributes.xattrs {
        preserve_xattrs(source, target).await?;
    }
    // Last: what came before is a change, too.
    if attributes.times {
        place
            .set_times(path, Some(status.modification_time_ms), Some(status.access_time_ms))
            .await?;
    }
    Ok(())
}

async fn preserve_acl(source: &Item, target: &Item) -> Result<(), FsError> {
    let acl = source.place.dfs()?.acl_status(&source.path).await?;
    let entries = super::super::acl::complete(&acl);
    Ok(target.place.dfs()?.set_acl(&target.path, &entries).await?)
}

async fn preserve_xattrs(source: &Item, target: &Item) -> Result<(), FsError> {
    for attribute in source.place.dfs()?.xattrs(&source.path, &[]).await? {
        let (name, value) = (&attribute.name, &attribute.value);
        target
            .place
            .dfs()?
            .set_xattr(&target.path, name, value, XAttrMode::CreateOrReplace)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn letters_say_what_is_kept() {
        assert_eq!(Attributes::parse("").unwrap(), Attributes::usual());
        let kept = Attributes::parse("tA").unwrap();
        assert!(kept.times && kept.acl && kept.permission && !kept.ownership);
        assert_eq!(Attributes::parse("z").unwrap_err().to_string(), "No attribute for z");
    }
}
