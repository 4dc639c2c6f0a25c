//! A stretch of wire between the gateway and the simulated carrier: it can be cut, and messages can be put in, byte by byte,
//! that no simulated phone would write.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::{oneshot, watch},
};

use super::world::{SHORT_NUMBER, msisdn};

const SUBMIT_SM: u32 = 0x04;
const DELIVER_SM: u32 = 0x05;
const UNBIND: u32 = 0x06;
const UNBIND_RESP: u32 = 0x8000_0006;
const DELIVER_SM_RESP: u32 = 0x8000_0005;
/// Sequence numbers from here on are ours: the simulated carrier begins at 1.
const OURS: u32 = 0x7000_0000;
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// To the gateway, as long as it is connected.
    gateway: tokio::sync::Mutex<Option<OwnedWriteHalf>>,
    waiting: Mutex<HashMap<u32, oneshot::Sender<u32>>>,
    sequence: AtomicU32,
    unbinds: AtomicBool,
    cut: watch::Sender<bool>,
}

/// A `deliver_sm` from a passenger, field by field as far as parts need it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) esm_class: u8,
    pub(crate) data_coding: u8,
    pub(crate) short_message: Vec<u8>,
    pub(crate) tlvs: Vec<(u16, Vec<u8>)>,
}

impl Relay {
    pub(crate) async fn start(carrier: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            gateway: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            sequence: AtomicU32::new(OURS),
            unbinds: AtomicBool::new(false),
            cut: watch::Sender::new(false),
        });
        let relay = Relay { address, shared };
        let serving = relay.clone();
        tokio::spawn(async move {
            while let Ok((gateway, _)) = listener.accept().await {
                let relay = serving.clone();
                tokio::spawn(async move { relay.carry(gateway, carrier).await });
            }
        });
        relay
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the wire, or mends it. While it is cut no connection lives.
    pub(crate) fn set_cut(&self, cut: bool) {
        self.shared.cut.send_replace(cut);
    }

    /// The next submission does not reach the carrier: it is answered by an `unbind`, as some SMSCs answer what they cannot read.
    pub(crate) fn answer_next_submission_by_unbind(&self) {
        self.shared.unbinds.store(true, Ordering::Relaxed);
    }

    /// Puts a message from `number` onto the wire, and says with which status the gateway answered it.
    /// `None` if it does not in time, or if the connection ends.
    pub(crate) async fn deliver(&self, number: &str, delivery: &Delivery) -> Option<u32> {
        let sequence = self.shared.sequence.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.waiting().insert(sequence, answer);
        let pdu = delivery.pdu(number, sequence);
        let mut gateway = self.shared.gateway.lock().await;
        gateway.as_mut().expect("the gateway is connected").write_all(&pdu).await.expect("the gateway reads");
        drop(gateway);
        tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()
    }

    async fn carry(&self, gateway: TcpStream, carrier: SocketAddr) {
        let mut cut = self.shared.cut.subscribe();
        if *cut.borrow() {
            return;
        }
        let Ok(carrier) = TcpStream::connect(carrier).await else { return };
        gateway.set_nodelay(true).and_then(|()| carrier.set_nodelay(true)).expect("a TCP option");
        let (mut from_gateway, to_gateway) = gateway.into_split();
        let (mut from_carrier, mut to_carrier) = carrier.into_split();
        *self.shared.gateway.lock().await = Some(to_gateway);
        let up = async {
            while let Some(pdu) = next_pdu(&mut from_gateway).await {
                let [_, command, status, sequence] = header(&pdu);
                if command == DELIVER_SM_RESP && sequence >= OURS {
                    if let Some(answer) = self.waiting().remove(&sequence) {
                        let _nobody_waits = answer.send(status);
                    }
                } else if command == SUBMIT_SM && self.shared.unbinds.swap(false, Ordering::Relaxed) {
                    let mut gateway = self.shared.gateway.lock().await;
                    let Some(gateway) = gateway.as_mut() else { return };
                    if gateway.write_all(&[16, UNBIND, 0, OURS].map(u32::to_be_bytes).concat()).await.is_err() {
                        return;
                    }
                } else if command == UNBIND_RESP && sequence >= OURS {
                    // The gateway closes the connection; the carrier knows of nothing.
                } else if to_carrier.write_all(&pdu).await.is_err() {
                    return;
                }
            }
        };
        let down = async {
            while let Some(pdu) = next_pdu(&mut from_carrier).await {
                // Whole PDUs, so that what is put in never falls into the middle of one.
                let mut gateway = self.shared.gateway.lock().await;
                let Some(gateway) = gateway.as_mut() else { return };
                if gateway.write_all(&pdu).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = up => {}
            () = down => {}
            _ = cut.wait_for(|cut| *cut) => {}
        }
        *self.shared.gateway.lock().await = None;
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u32, oneshot::Sender<u32>>> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Delivery {
    /// One part, told by a header with an 8-bit reference number (3GPP TS 23.040 section 9.2.3.24.1).
    pub(crate) fn part(reference: u8, total: u8, number: u8, text: &str) -> Delivery {
        let short_message = [&[5, 0, 3, reference, total, number], text.as_bytes()].concat();
        Delivery { esm_class: 0x40, short_message, ..Delivery::default() }
    }

    /// The same with 16 bits (section 9.2.3.24.8).
    pub(crate) fn wide_part(reference: u16, total: u8, number: u8, text: &str) -> Delivery {
        let [high, low] = reference.to_be_bytes();
        let short_message = [&[6, 8, 4, high, low, total, number], text.as_bytes()].concat();
        Delivery { esm_class: 0x40, short_message, ..Delivery::default() }
    }

    /// The same by SAR parameters (SMPP 3.4, 5.3.2.22 to 24), in Cyrillic's coding.
    pub(crate) fn sar_part(reference: u16, total: u8, number: u8, text: &str) -> Delivery {
        let short_message = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let tlvs = vec![(0x020F, vec![number]), (0x020C, reference.to_be_bytes().to_vec()), (0x020E, vec![total])];
        Delivery { data_coding: 8, short_message, tlvs, ..Delivery::default() }
    }

    fn pdu(&self, number: &str, sequence: u32) -> Vec<u8> {
        let source = msisdn(number).e164().to_string();
        let mut body = vec![0, 1, 1];
        body.extend([source.as_bytes(), &[0, 0, 1], SHORT_NUMBER.as_bytes(), &[0]].concat());
        body.extend([self.esm_class, 0, 0, 0, 0, 0, 0, self.data_coding, 0]);
        body.push(u8::try_from(self.short_message.len()).expect("short"));
        body.extend(&self.short_message);
        for (tag, value) in &self.tlvs {
            body.extend([tag.to_be_bytes(), u16::try_from(value.len()).expect("short").to_be_bytes()].concat());
            body.extend(value);
        }
        let length = u32::try_from(body.len() + 16).expect("short");
        let head = [length, DELIVER_SM, 0, sequence].map(u32::to_be_bytes);
        [head.concat(), body].concat()
    }
}

fn header(pdu: &[u8]) -> [u32; 4] {
    [0, 4, 8, 12].map(|at| u32::from_be_bytes(pdu[at..at + 4].try_into().expect("four bytes")))
}

async fn next_pdu(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut pdu = vec![0; 16];
    stream.read_exact(&mut pdu).await.ok()?;
    let [length, ..] = header(&pdu);
    pdu.resize(usize::try_from(length).ok()?.max(16), 0);
    stream.read_exact(&mut pdu[16..]).await.ok()?;
    Some(pdu)
}
