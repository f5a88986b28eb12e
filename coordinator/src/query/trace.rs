//! Which trace of its client a query belongs to: the header `traceparent` of W3C Trace Context, level 1.
//!
//! [`Traced`] reads the header of each call and remembers it while the call is worked on; a query that begins meanwhile takes it over. A header
//! that is not as it should be means none, as the specification wants it.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::futures::TaskLocalFuture;
use tonic::codegen::http::{HeaderMap, Request};
use tower::{Layer, Service};

/// The header's name.
const TRACEPARENT: &str = "traceparent";

tokio::task_local! {
    static CURRENT: Option<Arc<str>>;
}

/// The id of the trace that the running call belongs to: 32 hexadecimal digits.
pub(super) fn current() -> Option<Arc<str>> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// The trace that the headers of a call name.
fn trace_of(headers: &HeaderMap) -> Option<Arc<str>> {
    let mut parts = headers.get(TRACEPARENT)?.to_str().ok()?.split('-');
    let mut hex = |digits: usize| {
        let is_hex = |part: &&str| part.len() == digits && part.bytes().all(is_lower_hex);
        parts.next().filter(is_hex)
    };
    let (version, trace, parent, _flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let is_zero = |part: &str| part.bytes().all(|digit| digit == b'0');
    // Later versions may add parts.
    let ends = version != "00" || parts.next().is_none();
    let good = version != "ff" && ends && !is_zero(trace) && !is_zero(parent);
    good.then(|| trace.into())
}

fn is_lower_hex(digit: u8) -> bool {
    matches!(digit, b'0'..=b'9' | b'a'..=b'f')
}

/// Makes each call known as a part of its client's trace.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TraceCalls;

impl<S> Layer<S> for TraceCalls {
    type Service = Traced<S>;
    fn layer(&self, inner: S) -> Traced<S> {
        Traced { inner }
    }
}

/// A service whose calls are parts of traces.
#[derive(Debug, Clone)]
pub(crate) struct Traced<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = TaskLocalFuture<Option<Arc<str>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let trace = trace_of(request.headers());
        CURRENT.scope(trace, self.inner.call(request))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::convert::Infallible;

    use tonic::codegen::http::HeaderValue;
    use tower::service_fn;

    use super::super::registry::QueryRegistry;
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    fn found(header: &str) -> Option<Arc<str>> {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(header).unwrap());
        trace_of(&headers)
    }

    #[test]
    fn traces_are_read_as_the_specification_says() {
        let good = format!("00-{TRACE}-b7ad6b7169203331-01");
        assert_eq!(found(&good).as_deref(), Some(TRACE));
        assert_eq!(
            found(&format!("cc-{TRACE}-b7ad6b7169203331-01-more")).as_deref(),
            Some(TRACE)
        );
        for bad in [
            String::new(),
            "00".to_owned(),
            good.to_uppercase(),
            format!("{good}-more"),
            format!("ff-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{TRACE}0-b7ad6b7169203331-01"),
            format!("00-{TRACE}-b7ad6b7169203331"),
        ] {
            assert_eq!(found(&bad), None, "{bad}");
        }
        assert_eq!(trace_of(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn a_query_belongs_to_the_trace_of_its_call() {
        let registry = Arc::new(QueryRegistry::default());
        let mut traced = TraceCalls.layer(service_fn(move |_: Request<()>| {
            let registry = Arc::clone(&registry);
            async move {
                let query = registry.begin(1, "ada", "select 1").unwrap();
                Ok::<_, Infallible>(query.trace.clone())
            }
        }));
        let call = Request::builder().header(TRACEPARENT, format!("00-{TRACE}-b7ad6b7169203331-01"));
        let trace = traced.call(call.body(()).unwrap()).await.unwrap();
        assert_eq!(trace.as_deref(), Some(TRACE));
        assert_eq!(traced.call(Request::new(())).await.unwrap(), None);
    }
}
