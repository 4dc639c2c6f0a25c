//! SMSCs that do nothing but answer, or not even that; and the same exchange without a session.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::thread_cpu;

pub(crate) const HEADER_BYTES: usize = 16;
pub(crate) const COMMAND_BIND: u32 = 0x09;
pub(crate) const COMMAND_SUBMIT: u32 = 0x04;
const COMMAND_UNBIND: u32 = 0x06;
const RESPONSE: u32 = 0x8000_0000;

/// An SMSC that accepts everything, one connection long. It gives its processor time.
pub(crate) fn answering_peer() -> (u16, thread::JoinHandle<Duration>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        let mut cutter = Cutter::default();
        loop {
            let mut answers = Vec::new();
            let open = cutter.read(&mut stream, |command, _, sequence| match command {
                COMMAND_SUBMIT => answers.extend(pdu(RESPONSE | COMMAND_SUBMIT, sequence, b"0123456789\0")),
                COMMAND_BIND => answers.extend(pdu(RESPONSE | COMMAND_BIND, sequence, b"peer\0")),
                COMMAND_UNBIND => answers.extend(pdu(RESPONSE | COMMAND_UNBIND, sequence, b"")),
                _ => {}
            });
            if !open || stream.write_all(&answers).is_err() {
                return thread_cpu();
            }
        }
    });
    (port, peer)
}

/// An SMSC that accepts the bind and reads no more, until what is given back is dropped.
pub(crate) fn deaf_peer() -> (u16, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let (keep, dropped) = mpsc::channel::<()>();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        Cutter::default().read(&mut stream, |_, _, _| ());
        stream.write_all(&pdu(RESPONSE | COMMAND_BIND, 1, b"peer\0")).expect("written");
        let _until_dropped = dropped.recv();
    });
    (port, keep)
}

/// Cuts PDUs out of what is read, and nothing more.
#[derive(Default)]
pub(crate) struct Cutter {
    bytes: Vec<u8>,
}

impl Cutter {
    /// One read; `pdu` gets the command, the status and the sequence number of each whole PDU. `false` at the end.
    pub(crate) fn read(&mut self, stream: &mut TcpStream, mut pdu: impl FnMut(u32, u32, u32)) -> bool {
        let mut buffer = [0; 64 * 1024];
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return false,
            Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
        }
        let number = |at: usize, bytes: &[u8]| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let mut start = 0;
        while self.bytes.len() - start >= HEADER_BYTES {
            let head = &self.bytes[start..];
            let length = usize::try_from(number(0, head)).expect("a length");
            if head.len() < length {
                break;
            }
            pdu(number(4, head), number(8, head), number(12, head));
            start += length;
        }
        self.bytes.drain(..start);
        true
    }
}

pub(crate) fn pdu(command: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_BYTES + body.len()).expect("short");
    [&length.to_be_bytes(), &command.to_be_bytes(), &[0; 4], &sequence.to_be_bytes(), body].concat()
}
