//! The limits and time-outs of one session.

use std::time::Duration;

use crate::smpp::pdu::Bind;

/// How one bind behaves. The defaults suit an SMSC that says nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// The carrier's name, a label of every metric.
    pub carrier: String,
    /// The bind's name among that carrier's, a label of every metric.
    pub name: String,
    /// Who we are.
    pub bind: Bind,
    /// The oldest `sc_interface_version` that will do; an SMSC that tells an older one is left. One that tells none is taken at
    /// the operator's word.
    pub version_min: Option<u8>,
    /// How many requests may wait for their response at once; at least 1.
    pub window: usize,
    /// After this long without a response a request is in doubt.
    pub response_timeout: Duration,
    /// How long the SMSC may take to answer the bind.
    pub bind_timeout: Duration,
    /// After this long without an inbound byte we send `enquire_link`.
    pub enquire_after: Duration,
    /// After this long without an inbound byte since `enquire_link`, the link is dead; also after this long without any
    /// progress in writing.
    pub dead_after: Duration,
    /// When we unbind: how long the window may drain; and then how long `unbind_resp` may take.
    pub unbind_timeout: Duration,
    /// When the SMSC unbinds: how long we wait for the responses that it may still send.
    pub linger: Duration,
    /// No request is accepted while as many bytes wait to be written, and no inbound PDU is read while twice as many do.
    pub outgoing_bytes_max: usize,
    /// Requests in doubt whose late answer is recognised; the oldest are forgotten first.
    pub late_max: usize,
    /// Messages delivered to us and not answered yet. More are answered with `ESME_RX_T_APPN` (0x64): it means "not now" and nothing
    /// else, while `ESME_RMSGQFUL` speaks of the SMSC's queue, and some SMSCs then hold back the whole bind.
    pub unanswered_max: usize,
    /// Events not yet taken. Once there are as many, no inbound PDU is read.
    pub events_max: usize,
}

impl SessionConfig {
    /// The defaults, for `bind` as `name` at `carrier`.
    pub fn new(carrier: impl Into<String>, name: impl Into<String>, bind: Bind) -> SessionConfig {
        SessionConfig {
            carrier: carrier.into(),
            name: name.into(),
            bind,
            version_min: None,
            window: 10,
            response_timeout: Duration::from_secs(10),
            bind_timeout: Duration::from_secs(10),
            enquire_after: Duration::from_secs(30),
            dead_after: Duration::from_secs(10),
            unbind_timeout: Duration::from_secs(5),
            linger: Duration::from_secs(1),
            outgoing_bytes_max: 128 * 1024,
            late_max: 10_000,
            unanswered_max: 256,
            events_max: 1_024,
        }
    }
}
