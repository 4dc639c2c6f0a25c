//! Answers as a broken carrier gives them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderValue, header},
    response::Response,
};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf, repeat};
use tokio_util::io::ReaderStream;

/// Octets that are neither UTF-8 nor JSON nor XML.
const GARBAGE: &[u8] = b"\xff\xfe{\x00<\x80\"\xc3\x28}>garbage\x00\xed\xa0\x80";
/// The longest answer that the simulator itself writes.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The same status and headers with octets that mean nothing.
pub(super) fn garbage(response: Response) -> Response {
    with_body(response, Body::from(GARBAGE))
}

/// The same with a body of so many spaces; there is no end of it to be found before.
pub(super) fn oversized(response: Response, bytes: u32) -> Response {
    with_body(response, Body::from_stream(ReaderStream::new(repeat(b' ').take(bytes.into()))))
}

/// The same as a page for people.
pub(super) fn wrong_content_type(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// The same with the first half of its body; then the connection breaks. What has no body promises one.
pub(super) async fn truncated(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let octets = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
    let half = octets.slice(..octets.len() / 2);
    let promised = octets.len().max(2);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(promised));
    let broken = io::Cursor::new(half).chain(Broken);
    Response::from_parts(parts, Body::from_stream(ReaderStream::new(broken)))
}

fn with_body(response: Response, body: Body) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

/// A body that breaks where it begins.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("the carrier broke off")))
    }
}
