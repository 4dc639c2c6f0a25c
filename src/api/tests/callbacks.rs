use std::{
    io,
    net::Ipv4Addr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Extension, body::Body, http::Method};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf, duplex, repeat};
use tokio_util::io::ReaderStream;

use super::{
    super::{callbacks, serve::Peer},
    world::{Answer, Call, World},
};

async fn answered_to(world: &World, body: Body) -> Answer {
    let router = callbacks::router(world.gateway.clone(), Duration::from_millis(100));
    let router = router.layer(Extension(Peer(Ipv4Addr::LOCALHOST.into())));
    Call::new(&router, Method::POST, "/carriers/beeline/events").body(body).send().await
}

/// A body that breaks where it begins.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("gone")))
    }
}

#[tokio::test]
async fn a_callback_whose_body_does_not_come_in_time_is_given_up_with_its_connection() {
    let world = World::new().await;
    let (mut carrier, body) = duplex(64);
    carrier.write_all(b"{\"id\": ").await.expect("room");
    let answer = answered_to(&world, Body::from_stream(ReaderStream::new(body))).await;
    assert_eq!((answer.problem(), answer.header("connection")), ((400, "bad_request".into()), "close"));
}

#[tokio::test]
async fn a_callback_that_breaks_off_or_is_too_long_is_refused() {
    let world = World::new().await;
    let broken = ReaderStream::new((&b"{\"id\": "[..]).chain(Broken));
    let answer = answered_to(&world, Body::from_stream(broken)).await;
    assert_eq!((answer.problem(), answer.header("connection")), ((400, "bad_request".into()), "close"));
    let answer = answered_to(&world, Body::from_stream(ReaderStream::new(repeat(b' ')))).await;
    assert_eq!((answer.problem(), answer.header("connection")), ((413, "payload_too_large".into()), "close"));
}

#[tokio::test]
async fn a_carrier_that_calls_nobody_back_has_no_callbacks() {
    let world = World::new().await;
    assert_eq!(answered_to(&world, Body::from("{}")).await.status, 404);
}
