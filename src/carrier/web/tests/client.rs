use std::time::Instant;

use reqwest::Method;

use super::*;

#[tokio::test]
async fn an_answer_is_read_whole_and_a_connection_is_used_again() {
    let (peer, client) = (Peer::listen().await, client());
    let serving = async {
        let mut stream = peer.accept().await;
        let mut requests = Vec::new();
        for body in ["one", "two"] {
            requests.push(read_request(&mut stream).await);
            answer(&mut stream, "200 OK", body).await;
        }
        (requests, peer.is_left_alone().await)
    };
    let asking = async {
        let first = answered(client.send(charge_at(peer.url())).await);
        (first, answered(client.send(WebRequest::get("query", peer.url())).await))
    };
    let ((requests, alone), (first, second)) = tokio::join!(serving, asking);
    assert_eq!((first, second), ((200, "one".into()), (200, "two".into())));
    assert!(requests[0].starts_with("POST /pay?of=1 HTTP/1.1\r\n") && requests[0].ends_with("{\"amount\":80}"));
    assert!(requests[0].contains("content-type: application/json\r\n"), "{}", requests[0]);
    assert!(requests[1].starts_with("GET /pay?of=1 HTTP/1.1\r\n"));
    assert!(alone, "keep-alive");
}

#[tokio::test]
async fn what_met_a_closed_port_was_not_sent() {
    let url = Peer::listen().await.url();
    assert!(matches!(not_sent(client().send(charge_at(url)).await), NotSent::Connect(_)));
}

#[tokio::test]
async fn what_has_no_address_was_not_sent() {
    let url = "http://no-such-carrier.invalid/".parse().unwrap();
    not_sent(client().send(charge_at(url)).await);
}

#[tokio::test]
async fn what_the_peer_closed_on_before_it_read_is_lost() {
    let (peer, client) = (Peer::listen().await, client());
    let serving = async {
        drop(peer.accept().await);
        peer.is_left_alone().await
    };
    let (alone, outcome) = tokio::join!(serving, client.send(charge_at(peer.url())));
    // The peer may have had it in its buffers, and somebody behind it may have read them.
    assert!(matches!(lost(outcome), Lost::Reset(_)));
    assert!(alone, "it is not sent again");
}

#[tokio::test]
async fn what_the_peer_read_and_did_not_answer_is_lost() {
    let (peer, client) = (Peer::listen().await, client());
    let serving = async {
        let mut stream = peer.accept().await;
        let request = read_request(&mut stream).await;
        drop(stream);
        (request, peer.is_left_alone().await)
    };
    let ((request, alone), outcome) = tokio::join!(serving, client.send(charge_at(peer.url())));
    assert!(request.ends_with("{\"amount\":80}"));
    assert!(matches!(lost(outcome), Lost::Reset(_)));
    assert!(alone, "it is not sent again");
}

#[tokio::test]
async fn silence_is_a_loss_at_the_time_out() {
    let (peer, client) = (Peer::listen().await, client());
    let started = Instant::now();
    let (_stream, outcome) = tokio::join!(peer.accept(), client.send(charge_at(peer.url())));
    assert_eq!(lost(outcome), Lost::Timeout);
    let took = started.elapsed();
    assert!((Duration::from_millis(1_900)..PATIENCE).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_request_that_meets_a_connection_which_the_peer_had_closed_goes_out_once_on_another() {
    let (peer, client) = (Peer::listen().await, client());
    let mut requests = Vec::new();
    for round in 0..20 {
        let serving = async {
            let mut stream = peer.accept().await;
            let request = read_request(&mut stream).await;
            answer(&mut stream, "200 OK", "yes").await;
            request
        };
        let (request, outcome) = tokio::join!(serving, client.send(charge_at(peer.url())));
        assert_eq!(answered(outcome).0, 200, "round {round}");
        requests.push(request);
        // The peer has closed, as after an idle time of its own; the end of the connection has come in by now.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(requests.iter().all(|request| request.ends_with("{\"amount\":80}")));
    assert!(peer.is_left_alone().await);
}

#[tokio::test]
async fn an_idle_connection_is_closed_by_us_first() {
    let config = WebClientConfig { idle_timeout: Duration::from_millis(100), ..config() };
    let (peer, client) = (Peer::listen().await, WebClient::new(config, None).unwrap());
    let serving = async {
        for _ in 0..2 {
            let mut stream = peer.accept().await;
            read_request(&mut stream).await;
            answer(&mut stream, "200 OK", "yes").await;
            // Kept open by the peer until its end.
            tokio::spawn(async move { stream.read(&mut [0; 1]).await });
        }
    };
    let asking = async {
        answered(client.send(charge_at(peer.url())).await);
        tokio::time::sleep(Duration::from_millis(300)).await;
        answered(client.send(charge_at(peer.url())).await);
    };
    tokio::join!(serving, asking);
}

/// What comes of a request to a peer that answers with these bytes and closes.
async fn outcome_of(bytes: &[u8]) -> Outcome {
    let (peer, client) = (Peer::listen().await, client());
    let serving = async {
        let mut stream = peer.accept().await;
        read_request(&mut stream).await;
        stream.write_all(bytes).await.unwrap();
    };
    let ((), outcome) = tokio::join!(serving, client.send(charge_at(peer.url())));
    outcome
}

#[tokio::test]
async fn half_an_answer_is_a_loss() {
    let half = outcome_of(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"paymentStatus\":\"succ").await;
    assert!(matches!(lost(half), Lost::Unreadable(_)));
    let half = outcome_of(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"pay\r\n").await;
    assert!(matches!(lost(half), Lost::Unreadable(_)));
    assert!(matches!(lost(outcome_of(b"HTTP/1.1 200 OK\r\ncontent-le").await), Lost::Reset(_)));
}

#[tokio::test]
async fn what_is_no_http_is_a_loss() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"HTTP/1.1 999999 ?\r\n\r\n",
        b"\0\0\0\x10\x80\0\0\0",
    ] {
        assert!(matches!(lost(outcome_of(bytes).await), Lost::Reset(_)), "{bytes:?}");
    }
    let two_lengths = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd";
    lost(outcome_of(two_lengths).await);
}

#[tokio::test]
async fn an_answer_that_drips_is_a_loss_at_the_time_out() {
    let (peer, client) = (Peer::listen().await, client());
    let dripping = async {
        let mut stream = peer.accept().await;
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = dripping => panic!("it gave up first"),
        outcome = client.send(charge_at(peer.url())) => assert_eq!(lost(outcome), Lost::Timeout),
    }
}

#[tokio::test]
async fn no_more_of_a_body_is_read_than_the_bound() {
    let max = config().body_bytes_max;
    let announced = outcome_of(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").await;
    assert_eq!(lost(announced), Lost::BodyTooLarge { max });

    let (peer, client) = (Peer::listen().await, client());
    let endless = async {
        let mut stream = peer.accept().await;
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        let mut written = 0_usize;
        while stream.write_all(chunk.as_bytes()).await.is_ok() {
            written += chunk.len();
        }
        written
    };
    let (written, outcome) = tokio::join!(endless, client.send(charge_at(peer.url())));
    assert_eq!(lost(outcome), Lost::BodyTooLarge { max });
    assert!(written < 64 << 20, "the connection is closed: {written}");

    let exact = format!("HTTP/1.1 200 OK\r\ncontent-length: {max}\r\n\r\n{}", "x".repeat(max));
    assert_eq!(answered(outcome_of(exact.as_bytes()).await).1.len(), max);
}

#[tokio::test]
async fn a_redirect_of_any_kind_is_an_answer_to_any_method_and_is_not_followed() {
    for status in ["301 Moved", "302 Found", "303 See", "307 Go", "308 Go"] {
        for method in [Method::POST, Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
            let (peer, elsewhere) = (Peer::listen().await, Peer::listen().await);
            let client = client();
            let serving = async {
                let mut stream = peer.accept().await;
                read_request(&mut stream).await;
                let head = format!("HTTP/1.1 {status}\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
                stream.write_all(head.as_bytes()).await.unwrap();
                read_request(&mut stream).await
            };
            let asking = async {
                let answer =
                    answered(client.send(WebRequest { method: method.clone(), ..charge_at(peer.url()) }).await);
                drop(client);
                answer.0.to_string()
            };
            let (again, answer) = tokio::join!(serving, asking);
            assert_eq!((answer.as_str(), again.as_str()), (&status[..3], ""), "{method}");
            let nobody_came = timeout(Duration::from_millis(5), elsewhere.listener.accept()).await.is_err();
            assert!(nobody_came, "{status} {method}");
        }
    }
}

#[tokio::test]
async fn a_body_is_bytes_as_they_came_whatever_it_is_said_to_be() {
    // Nothing is unpacked: a few bytes cannot become many.
    let not_gzip =
        outcome_of(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\xff\x00").await;
    let Outcome::Answer(answer) = not_gzip else { panic!("{not_gzip:?}") };
    assert_eq!(&answer.body[..], b"\x1f\x8b\xff\x00");
    let not_utf_8 = outcome_of(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xed\xa0\x80").await;
    let Outcome::Answer(answer) = not_utf_8 else { panic!("{not_utf_8:?}") };
    assert_eq!(&answer.body[..], b"\xed\xa0\x80");
    let max = config().body_bytes_max;
    let hundred_megabytes = outcome_of(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n{").await;
    assert_eq!(lost(hundred_megabytes), Lost::BodyTooLarge { max });
    let more_than_fits = outcome_of(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n{").await;
    assert!(matches!(more_than_fits, Outcome::Lost(_)), "{more_than_fits:?}");
    let negative = outcome_of(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{").await;
    assert!(matches!(negative, Outcome::Lost(_)), "{negative:?}");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_whole_request_was_read_counts() {
    // A carrier's front end may refuse by the head alone.
    let (peer, client) = (Peer::listen().await, client());
    let serving = async {
        let mut stream = peer.accept().await;
        answer(&mut stream, "413 Too Large", "").await;
        let _kept = stream.read(&mut [0; 4096]).await;
    };
    let request = WebRequest::post("charge", peer.url(), "application/json", vec![b'x'; 4 << 20]);
    let ((), outcome) = tokio::join!(serving, client.send(request));
    // Sent or not, it is never taken for not sent.
    assert!(matches!(outcome, Outcome::Answer(_) | Outcome::Lost(_)), "{outcome:?}");
}

#[test]
fn retry_after_is_read_as_seconds_or_a_date_and_bounded() {
    let wait = |value: &str| {
        let headers = [(reqwest::header::RETRY_AFTER, value.parse().unwrap())].into_iter().collect();
        Answer { status: 503, headers, body: bytes::Bytes::new() }.retry_after()
    };
    assert_eq!(wait("7"), Some(Duration::from_secs(7)));
    assert_eq!(wait("999999999"), Some(Duration::from_secs(300)));
    assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
    assert_eq!(wait("Mon, 21 Oct 2199 07:28:00 GMT"), Some(Duration::from_secs(300)));
    let by_its_own_clock =
        [("date", "Wed, 21 Oct 2015 07:28:00 GMT"), ("retry-after", "Wed, 21 Oct 2015 07:28:09 GMT")];
    let headers = by_its_own_clock.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let answer = Answer { status: 503, headers: headers.into_iter().collect(), body: bytes::Bytes::new() };
    assert_eq!(answer.retry_after(), Some(Duration::from_secs(9)));
    assert_eq!(wait("soon"), None);
    assert_eq!(wait("-3"), None);
}
