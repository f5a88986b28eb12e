//! Reading objects.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Attributes, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, Result};

use super::DfsObjectStore;
use super::error::to_object_store;
use crate::error::Error;
use crate::location::LocatedFile;
use crate::read::FileReader;

/// A range up to this size is read at once, larger ones are streamed.
const MAX_SINGLE_READ: u64 = 64 << 20;

impl DfsObjectStore {
    pub(super) async fn get(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.version.is_some() {
            return Err(object_store::Error::NotSupported {
                source: "objects have one version only".into(),
            });
        }
        match &options.range {
            Some(range) if is_unconditional(&options) => self.get_range_of(location, range).await,
            _ => self.get_now(location, options).await,
        }
    }

    /// A read with fresh metadata, streamed.
    async fn get_now(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let file = self
            .client()
            .located_now(&self.absolute(location))
            .await
            .map_err(to_object_store)?;
        let meta = self.meta(location, &file)?;
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => resolve(range, meta.size)?,
            None => 0..meta.size,
        };
        let range_to_read = if options.head {
            range.start..range.start
        } else {
            range.clone()
        };
        let payload = stream(self.reader(&file), range_to_read);
        Ok(result(meta, range, payload))
    }

    /// A ranged read with remembered metadata; asks for fresh once if that turns out to be old.
    async fn get_range_of(&self, location: &Path, range: &GetRange) -> Result<GetResult> {
        let path = self.absolute(location);
        let remembered = self.client().located(&path).await.map_err(to_object_store)?;
        match self.try_range(location, &remembered, range).await {
            Err(e) if may_be_outdated(&e) => {
                let fresh = self.client().located_now(&path).await.map_err(to_object_store)?;
                self.try_range(location, &fresh, range).await
            }
            got => got,
        }
    }

    async fn try_range(&self, location: &Path, file: &Arc<LocatedFile>, range: &GetRange) -> Result<GetResult> {
        let meta = self.meta(location, file)?;
        let range = resolve(range, meta.size)?;
        let reader = self.reader(file);
        if range.end - range.start > MAX_SINGLE_READ {
            return Ok(result(meta, range.clone(), stream(reader, range)));
        }
        let bytes = reader.read_range(range.clone()).await.map_err(to_object_store)?;
        let payload = GetResultPayload::Stream(futures::stream::once(async { Ok(bytes) }).boxed());
        Ok(result(meta, range, payload))
    }

    /// One range as one piece of memory.
    pub(super) async fn read_range(&self, location: &Path, range: Range<u64>) -> Result<Bytes> {
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(range)));
        self.get(location, options).await?.bytes().await
    }

    fn reader(&self, file: &LocatedFile) -> FileReader {
        let reader = self.client().open_located(file);
        match &self.stats {
            Some(stats) => reader.with_stats(Arc::clone(stats)),
            None => reader,
        }
    }

    fn meta(&self, location: &Path, file: &LocatedFile) -> Result<ObjectMeta> {
        let mut meta = self.root.meta(&file.status)?;
        meta.location = location.clone();
        Ok(meta)
    }
}

fn is_unconditional(options: &GetOptions) -> bool {
    !options.head
        && options.if_match.is_none()
        && options.if_none_match.is_none()
        && options.if_modified_since.is_none()
        && options.if_unmodified_since.is_none()
}

fn resolve(range: &GetRange, size: u64) -> Result<Range<u64>> {
    range.as_range(size).map_err(|e| object_store::Error::Generic {
        store: "DFS",
        source: e.into(),
    })
}

/// Whether fresh metadata could make the difference: a range beyond the end, or another file in the path's place.
fn may_be_outdated(error: &object_store::Error) -> bool {
    let object_store::Error::Generic { source, .. } = error else {
        return false;
    };
    match source.downcast_ref::<Error>() {
        Some(error) => matches!(error, Error::Replaced { .. } | Error::OutOfRange { .. }),
        None => true,
    }
}

fn result(meta: ObjectMeta, range: Range<u64>, payload: GetResultPayload) -> GetResult {
    GetResult {
        payload,
        meta,
        range,
        attributes: Attributes::default(),
    }
}

/// The range in pieces, one read ahead.
fn stream(reader: FileReader, range: Range<u64>) -> GetResultPayload {
    GetResultPayload::Stream(reader.stream(range).map_err(to_object_store).boxed())
}
