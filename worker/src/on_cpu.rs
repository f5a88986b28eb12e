//! Moves the handling of requests from the threads that serve connections to those that run operators.
//!
//! A handler decodes plans and starts operators, and operators spawn tasks on the runtime they are started on. Handled there, they
//! may keep every core busy, and connections still answer pings.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tower::Layer;

/// Wraps a service so that its calls run on another runtime.
#[derive(Debug, Clone)]
pub(crate) struct OnCpu {
    cpu: Handle,
}

impl OnCpu {
    pub(crate) fn new(cpu: Handle) -> Self {
        Self { cpu }
    }
}

impl<S> Layer<S> for OnCpu {
    type Service = OnCpuService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OnCpuService {
            cpu: self.cpu.clone(),
            inner,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct OnCpuService<S> {
    cpu: Handle,
    inner: S,
}

impl<S> Service<Request<Body>> for OnCpuService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // A caller that goes away drops the future, and with it the work.
        let work = AbortOnDropHandle::new(self.cpu.spawn(self.inner.call(request)));
        Box::pin(async move {
            match work.await {
                Ok(response) => response,
                Err(error) => Ok(failed(&error)),
            }
        })
    }
}

fn failed(error: &tokio::task::JoinError) -> Response<Body> {
    let status = if error.is_panic() {
        tonic::Status::internal("the worker's handler panicked; its log has the details")
    } else {
        tonic::Status::unavailable("the worker is shutting down")
    };
    status.into_http()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use quarry_engine::cpu::CpuRuntime;
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn calls_run_on_the_other_threads() {
        let cpu = CpuRuntime::start("operators", 1).unwrap();
        let named = service_fn(|_: Request<Body>| async {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            Ok::<_, Infallible>(
                Response::builder()
                    .header("thread", thread)
                    .body(Body::empty())
                    .unwrap(),
            )
        });
        let service = OnCpu::new(cpu.handle().clone()).layer(named);
        let response = service.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.headers()["thread"], "operators");
    }

    #[tokio::test]
    async fn a_panic_is_answered() {
        let cpu = CpuRuntime::start("operators", 1).unwrap();
        async fn panics(_: Request<Body>) -> Result<Response<Body>, Infallible> {
            panic!("on purpose")
        }
        let service = OnCpu::new(cpu.handle().clone()).layer(service_fn(panics));
        let response = service.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "13");
    }
}
