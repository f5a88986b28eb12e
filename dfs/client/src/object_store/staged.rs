//! A file on its way to becoming an object: written under a hidden name, published by one rename, deleted if given up.

use bytes::Bytes;
use object_store::PutResult;

use super::paths::{e_tag, staging_path};
use crate::client::{DfsClient, RenameOptions};
use crate::error::{Error, Result};
use crate::write::{CreateOptions, FileWriter};

#[derive(Debug)]
pub(super) struct StagedFile {
    client: DfsClient,
    destination: String,
    staging: String,
    writer: Option<FileWriter>,
    /// Whether the hidden file is gone: renamed.
    published: bool,
}

impl StagedFile {
    /// Begins a file for `destination`, whose directory is made if need be.
    pub(super) async fn create(client: &DfsClient, destination: String) -> Result<Self> {
        let staging = staging_path(&destination);
        let mut staged = Self {
            client: client.clone(),
            destination,
            staging,
            writer: None,
            published: false,
        };
        staged.writer = Some(client.create(&staged.staging, CreateOptions::default()).await?);
        Ok(staged)
    }

    pub(super) async fn write(&mut self, data: Bytes) -> Result<()> {
        match &mut self.writer {
            Some(writer) => writer.write(data).await,
            None => Err(self.closed()),
        }
    }

    /// Closes the file and gives it its name. On return it is durable and visible.
    pub(super) async fn publish(mut self, overwrite: bool) -> Result<PutResult> {
        let writer = self.writer.take().ok_or_else(|| self.closed())?;
        let status = writer.close().await?;
        self.client
            .rename(&self.staging, &self.destination, RenameOptions { overwrite })
            .await?;
        self.published = true;
        Ok(PutResult {
            e_tag: Some(e_tag(&status)),
            version: None,
        })
    }

    /// Deletes the hidden file.
    pub(super) async fn abandon(mut self) -> Result<()> {
        self.writer = None;
        self.published = true;
        self.client.delete(&self.staging, false).await?;
        Ok(())
    }

    fn closed(&self) -> Error {
        Error::WriterFailed {
            path: self.destination.clone(),
            cause: "it was closed before".to_owned(),
        }
    }
}

impl Drop for StagedFile {
    /// Cleans up after a put that failed or was cancelled, as well as a destructor can.
    fn drop(&mut self) {
        if self.published {
            return;
        }
        self.writer = None;
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (client, staging) = (self.client.clone(), std::mem::take(&mut self.staging));
        runtime.spawn(async move {
            if let Err(error) = client.delete(&staging, false).await {
                tracing::warn!(path = staging, %error, "could not delete an unfinished upload");
            }
        });
    }
}
