//! A multipart upload: its parts become one file, in the order in which they were handed over.

use async_trait::async_trait;
use futures::FutureExt;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use tokio::sync::{mpsc, oneshot};

use super::error::to_object_store;
use super::staged::StagedFile;
use crate::task::Task;

/// What the writing task is asked to do.
enum Request {
    Part(PutPayload, oneshot::Sender<Result<()>>),
    Complete(oneshot::Sender<Result<PutResult>>),
    Abort(oneshot::Sender<Result<()>>),
}

/// The caller's side; the file belongs to a task, which ends with this.
#[derive(Debug)]
pub(super) struct Upload {
    /// Not bounded here: a part waits in the queue or in its future, and how many futures there are is the caller's choice.
    /// They may be awaited in any order, so a part must be in its place before its future is polled.
    requests: mpsc::UnboundedSender<Request>,
    _writer: Task,
}

impl Upload {
    pub(super) fn start(staged: StagedFile) -> Self {
        let (requests, queue) = mpsc::unbounded_channel();
        Self {
            requests,
            _writer: Task::spawn(write(staged, queue)),
        }
    }

    /// Hands a request over now; the future waits for the answer.
    fn ask<T>(
        &self,
        request: Request,
        answered: oneshot::Receiver<Result<T>>,
    ) -> impl Future<Output = Result<T>> + use<T> {
        // A task that is gone has dropped the sender of the answer, which the receiver reports.
        let _ = self.requests.send(request);
        async move { answered.await.unwrap_or_else(|_| Err(ended())) }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Part(data, answer), answered).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Complete(answer), answered).await
    }

    async fn abort(&mut self) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Abort(answer), answered).await
    }
}

/// Writes parts until one fails or the upload ends. Dropping the file deletes it.
async fn write(mut staged: StagedFile, mut queue: mpsc::UnboundedReceiver<Request>) {
    while let Some(request) = queue.recv().await {
        match request {
            Request::Part(data, answer) => {
                let written = write_part(&mut staged, data).await;
                let failed = written.is_err();
                // Nobody may be waiting for it any more.
                let _ = answer.send(written);
                if failed {
                    return;
                }
            }
            Request::Complete(answer) => {
                let _ = answer.send(staged.publish(true).await.map_err(to_object_store));
                return;
            }
            Request::Abort(answer) => {
                let _ = answer.send(staged.abandon().await.map_err(to_object_store));
                return;
            }
        }
    }
}

async fn write_part(staged: &mut StagedFile, data: PutPayload) -> Result<()> {
    for chunk in &data {
        staged.write(chunk.clone()).await.map_err(to_object_store)?;
    }
    Ok(())
}

fn ended() -> object_store::Error {
    object_store::Error::Generic {
        store: "DFS",
        source: "the upload has ended: completed, aborted, or failed in an earlier part".into(),
    }
}
