//! What a carrier answered, word for word, for whoever looks at a charge later.
//!
//! One question to a carrier can be several exchanges: a list has pages. So the words are gathered where answers come in, for as long
//! as a future runs that somebody [`record`]s, and the adapters' own functions say what the answers mean and nothing else. Access
//! tokens and passwords are not recorded: what is sent is not, and neither is an exchange that nobody records.

use std::{cell::RefCell, fmt::Write};

tokio::task_local! {
    static TRANSCRIPT: RefCell<String>;
}

/// Longer words are cut. What a carrier says of one payment is a few hundred bytes.
pub const WORDS_BYTES_MAX: usize = 4_096;

/// Runs `exchange`, and gives back with its result what the carrier said meanwhile; `None` if it said nothing.
pub async fn record<T>(exchange: impl Future<Output = T>) -> (T, Option<String>) {
    TRANSCRIPT
        .scope(RefCell::default(), async {
            let result = exchange.await;
            let words = TRANSCRIPT.with(RefCell::take);
            (result, Some(words).filter(|words| !words.is_empty()))
        })
        .await
}

/// An answer that came in. `said` is not called if nobody records.
pub(super) fn note(said: impl FnOnce() -> String) {
    // An error is the answer that there is no transcript.
    let _ = TRANSCRIPT.try_with(|transcript| {
        let mut transcript = transcript.borrow_mut();
        if !transcript.is_empty() {
            transcript.push('\n');
        }
        transcript.push_str(&said());
        cut(&mut transcript);
    });
}

/// An answer over HTTP, without what `hide` takes out of its body.
pub(super) fn note_http(operation: &str, status: u16, body: &[u8], hide: impl FnOnce(String) -> String) {
    note(|| format!("{operation}: HTTP {status}\n{}", of_body(body, hide)));
}

/// The body of an answer or a callback, without what `hide` takes out of it.
pub(super) fn of_body(body: &[u8], hide: impl FnOnce(String) -> String) -> String {
    let mut words = hide(String::from_utf8_lossy(body).into_owned());
    cut(&mut words);
    words
}

/// `text` without a secret, wherever it stands in it.
pub(super) fn without(text: String, secret: &str) -> String {
    if secret.is_empty() || !text.contains(secret) { text } else { text.replace(secret, "***") }
}

/// At most so many bytes, with a sign that there were more.
pub fn cut(words: &mut String) {
    if words.len() > WORDS_BYTES_MAX {
        let end = words.floor_char_boundary(WORDS_BYTES_MAX - '…'.len_utf8());
        words.truncate(end);
        let _infallible = words.write_char('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_said_in_several_exchanges_is_one_transcript() {
        let (result, words) = record(async {
            note_http("list", 200, b"[]", |body| body);
            tokio::task::yield_now().await;
            note(|| "query_sm_resp".into());
            7
        })
        .await;
        assert_eq!((result, words.as_deref()), (7, Some("list: HTTP 200\n[]\nquery_sm_resp")));
    }

    #[tokio::test]
    async fn two_recordings_at_once_are_two_transcripts_and_none_is_none() {
        let said = |text: &'static str| {
            record(async move {
                note(|| text.to_owned());
                tokio::task::yield_now().await;
                note(|| text.to_owned());
            })
        };
        let ((_, one), (_, two), (_, none)) = tokio::join!(said("a"), said("b"), record(async {}));
        assert_eq!((one.as_deref(), two.as_deref(), none), (Some("a\na"), Some("b\nb"), None));
        note(|| unreachable!("nobody records"));
    }

    #[tokio::test]
    async fn long_words_are_cut_between_characters() {
        let (_, words) = record(async { note_http("list", 200, "ы".repeat(5_000).as_bytes(), |body| body) }).await;
        let words = words.expect("words");
        assert!(words.len() <= WORDS_BYTES_MAX && words.ends_with('…'), "{} bytes", words.len());
        let mut exact = "a".repeat(WORDS_BYTES_MAX);
        cut(&mut exact);
        assert_eq!(exact.len(), WORDS_BYTES_MAX);
        assert!(!exact.ends_with('…'));
    }

    #[tokio::test]
    async fn a_secret_that_a_carrier_repeats_is_not_written_down() {
        let hide = |body| without(body, "s3cr3t");
        let (_, words) = record(async { note_http("charge", 201, br#"{"token":"s3cr3t","id":"s3"}"#, hide) }).await;
        assert_eq!(words.as_deref(), Some("charge: HTTP 201\n{\"token\":\"***\",\"id\":\"s3\"}"));
        assert_eq!(without("abc".into(), ""), "abc");
    }
}
