//! As much HTTP/1.1 as the load needs, and cheap: one connection that is kept, one request under way, buffers that are used again.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than the daemon waits for any outcome.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// No answer of the API is near it.
const ANSWER_BYTES_MAX: usize = 256 * 1_024;

pub(crate) struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

/// Where things stand in an answer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Connection {
    pub(crate) async fn open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, answer: Vec::with_capacity(8 * 1_024) })
    }

    /// Sends a request and reads its answer. After an error the connection is of no use any more: whether the request was read is not known.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        timeout(ANSWER_MAX, self.exchange_in_time(request))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn exchange_in_time(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        let head = loop {
            self.read().await?;
            if let Some(head) = Head::of(&self.answer)? {
                break head;
            }
        };
        let end = head.bytes + head.body_bytes;
        while self.answer.len() < end {
            self.read().await?;
        }
        if self.answer.len() > end {
            return Err(io::Error::other("more than one answer"));
        }
        Ok(Answer { status: head.status, body: &self.answer[head.bytes..end] })
    }

    async fn read(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.answer.len() > ANSWER_BYTES_MAX {
            return Err(io::Error::other("an answer that is too long"));
        }
        Ok(())
    }
}

struct Head {
    status: u16,
    /// With the empty line after it.
    bytes: usize,
    body_bytes: usize,
}

impl Head {
    /// `None` while it is not all there.
    fn of(answer: &[u8]) -> io::Result<Option<Head>> {
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
        let unreadable = || io::Error::other("an answer that cannot be read");
        let text = std::str::from_utf8(&answer[..end]).map_err(|_| unreadable())?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = status.and_then(|line| line.get(..3)?.parse().ok()).ok_or_else(unreadable)?;
        let fields = lines.filter_map(|line| line.split_once(':'));
        let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        // The API sends nothing in chunks but events.
        let length = lengths.next().and_then(|(_, length)| length.trim().parse().ok()).ok_or_else(unreadable)?;
        Ok(Some(Head { status, bytes: end + 4, body_bytes: length }))
    }
}
