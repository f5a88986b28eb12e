//! Replies as frames.

use bytes::{Bytes, BytesMut};

use super::exception::{RpcErrorCode, RpcException, class};
use super::frame::put_frame;
use super::session::RPC_VERSION;
use crate::proto::hadoop::common::RpcResponseHeaderProto;
use crate::proto::hadoop::common::rpc_response_header_proto::RpcStatusProto;

/// Longest response body, in bytes: Java clients refuse longer frames than 128 MiB, and the header needs some.
const MAX_RESPONSE_LENGTH: usize = 127 * 1024 * 1024;

/// The request's own words that its reply repeats. Java clients refuse a reply without their client id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReplyTo {
    pub(super) call_id: i32,
    pub(super) client_id: Bytes,
    pub(super) retry_count: i32,
}

impl ReplyTo {
    /// For replies to something that was no call.
    pub(super) fn call_id(call_id: i32) -> Self {
        Self {
            call_id,
            client_id: Bytes::new(),
            retry_count: -1,
        }
    }

    /// Appends the reply to a call that gave this to `buffer`.
    pub(super) fn put_outcome(
        &self,
        buffer: &mut BytesMut,
        outcome: &Result<Bytes, RpcException>,
        state_id: Option<i64>,
    ) {
        match outcome {
            Ok(response) if response.len() > MAX_RESPONSE_LENGTH => {
                self.put_failure(buffer, &too_long(response.len()));
            }
            Ok(response) => self.put_success(buffer, response, state_id),
            Err(exception) => self.put_failure(buffer, exception),
        }
    }

    fn put_success(&self, buffer: &mut BytesMut, response: &[u8], state_id: Option<i64>) {
        let header = RpcResponseHeaderProto {
            state_id,
            ..self.header(RpcStatusProto::Success)
        };
        put_frame(buffer, &header, Some(response));
    }

    /// A good reply with an encoded response.
    pub(super) fn success(&self, response: &[u8], state_id: Option<i64>) -> Bytes {
        let mut buffer = BytesMut::new();
        self.put_success(&mut buffer, response, state_id);
        buffer.freeze()
    }

    /// A failure. Its class, text and code are always all there: clients differ in which one they read.
    fn put_failure(&self, buffer: &mut BytesMut, exception: &RpcException) {
        let status = if exception.is_fatal() {
            RpcStatusProto::Fatal
        } else {
            RpcStatusProto::Error
        };
        let header = RpcResponseHeaderProto {
            exception_class_name: Some(exception.class.to_string()),
            error_msg: Some(exception.message.clone()),
            error_detail: Some(exception.code as i32),
            ..self.header(status)
        };
        put_frame(buffer, &header, None);
    }

    /// A failure as a frame of its own.
    pub(super) fn failure(&self, exception: &RpcException) -> Bytes {
        let mut buffer = BytesMut::new();
        self.put_failure(&mut buffer, exception);
        buffer.freeze()
    }

    fn header(&self, status: RpcStatusProto) -> RpcResponseHeaderProto {
        RpcResponseHeaderProto {
            // The wire has an unsigned field for a signed number: same 32 bits.
            call_id: self.call_id as u32,
            status: status as i32,
            server_ipc_version_num: Some(u32::from(RPC_VERSION)),
            client_id: Some(self.client_id.clone()),
            retry_count: Some(self.retry_count),
            ..Default::default()
        }
    }
}

fn too_long(length: usize) -> RpcException {
    let message = format!("response of {length} bytes, at most {MAX_RESPONSE_LENGTH} fit: ask for less at once");
    RpcException::rpc(class::RPC_SERVER, message, RpcErrorCode::ErrorSerializingResponse)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Buf;

    use super::*;
    use crate::rpc::frame::decode_delimited;

    fn outcome(to: &ReplyTo, outcome: &Result<Bytes, RpcException>, state_id: Option<i64>) -> Bytes {
        let mut buffer = BytesMut::new();
        to.put_outcome(&mut buffer, outcome, state_id);
        buffer.freeze()
    }

    fn header(mut frame: Bytes) -> (RpcResponseHeaderProto, Bytes) {
        assert_eq!(frame.get_u32() as usize, frame.len());
        (decode_delimited(&mut frame, "header").unwrap(), frame)
    }

    #[test]
    fn negative_call_ids_keep_their_bits() {
        let (header, rest) = header(ReplyTo::call_id(-33).success(b"", None));
        assert_eq!(header.call_id, 4_294_967_263);
        assert_eq!(&rest[..], [0]);
    }

    #[test]
    fn failures_carry_everything_and_no_body() {
        let to = ReplyTo {
            call_id: 7,
            client_id: Bytes::from_static(&[9; 16]),
            retry_count: 2,
        };
        let (header, rest) = header(outcome(&to, &Err(RpcException::safe_mode("not now")), Some(5)));
        assert_eq!(header.status(), RpcStatusProto::Error);
        assert_eq!(header.exception_class_name(), class::SAFE_MODE);
        assert_eq!(header.error_msg(), "not now");
        assert_eq!(header.error_detail(), RpcErrorCode::ErrorApplication);
        assert_eq!(
            (header.call_id, header.client_id(), header.retry_count()),
            (7, &[9; 16][..], 2)
        );
        assert!(rest.is_empty());
    }

    #[test]
    fn responses_that_no_client_would_take_become_failures() {
        let (header, _) = header(outcome(
            &ReplyTo::call_id(1),
            &Ok(vec![0; MAX_RESPONSE_LENGTH + 1].into()),
            None,
        ));
        assert_eq!(header.error_detail(), RpcErrorCode::ErrorSerializingResponse);
    }
}
