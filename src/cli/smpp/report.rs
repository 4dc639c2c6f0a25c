//! What a probe found out.

use std::fmt;

use serde::Serialize;

use super::windows::WindowReport;
use crate::{cli::Exit, smpp::CommandStatus};

/// What a probe found out, as far as it came.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) address: String,
    pub(super) system_id: String,
    pub(super) command: &'static str,
    /// How long the connection took, name resolution included, in microseconds.
    pub(super) connect_us: Option<u64>,
    /// What the SMSC sent before we bound.
    pub(super) speaks_first: Option<String>,
    pub(super) bind: Option<Bound>,
    pub(super) enquiries: Option<Enquiries>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) windows: Vec<WindowReport>,
    /// The last `congestion_state` that it told (SMPP 5.0).
    pub(super) congestion_state: Option<u32>,
    /// How the unbind was answered; absent if it never came to one.
    pub(super) unbind: Option<Unbound>,
    /// Messages that it delivered meanwhile, and that were put off.
    pub(super) put_off: u32,
    /// What broke the probe off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

/// The answer to the bind.
#[derive(Debug, Serialize)]
pub(super) struct Bound {
    /// Absent if there was none.
    pub(super) status: Option<u32>,
    pub(super) status_name: Option<&'static str>,
    pub(super) us: Option<u64>,
    pub(super) smsc_system_id: String,
    pub(super) sc_interface_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<&'static str>,
}

/// How `enquire_link` is answered.
#[derive(Debug, Serialize)]
pub(super) struct Enquiries {
    /// One after the other.
    pub(super) sent: u32,
    pub(super) answered: u32,
    pub(super) min_us: Option<u64>,
    pub(super) median_us: Option<u64>,
    pub(super) p99_us: Option<u64>,
    /// So many in one write.
    pub(super) at_once: u32,
    pub(super) at_once_answered: u32,
    /// Until the last of them was answered.
    pub(super) at_once_us: Option<u64>,
}

/// How the unbind was answered.
#[derive(Debug, Serialize)]
pub(super) struct Unbound {
    /// The PDU that answered it, or `none`, or `closed`.
    pub(super) answer: String,
    pub(super) status: Option<u32>,
    pub(super) us: Option<u64>,
}

impl Report {
    /// 3 if the bind was refused, 5 if something was not answered.
    pub(super) fn exit(&self) -> Exit {
        let refused = self.bind.as_ref().and_then(|bind| bind.status).is_some_and(|status| status != 0);
        let enquiries = self.enquiries.as_ref();
        let answered = enquiries.is_some_and(|all| all.answered == all.sent && all.at_once_answered == all.at_once)
            && self.windows.iter().all(|window| window.unanswered == 0)
            && self.unbind.as_ref().is_some_and(|unbind| unbind.status.is_some());
        match (refused, answered) {
            (true, _) => Exit::Refused,
            (false, true) => Exit::Done,
            (false, false) => Exit::CannotTell,
        }
    }

    /// The first window that this was answered in.
    fn begins(&self, counted: impl Fn(&WindowReport) -> u32) -> Option<u16> {
        self.windows.iter().find(|window| counted(window) > 0).map(|window| window.window)
    }
}

/// What to do about a refused bind.
pub(super) fn advice(status: CommandStatus) -> Option<&'static str> {
    Some(match status.0 {
        0x04 => "the account may be barred, or already be bound in another mode: ask the carrier",
        0x05 => {
            "a bind of ours is still up: of a running daemon, or of a connection whose end the SMSC has not noticed. Stop the daemon, or \
             wait for the SMSC's timer (already_bound_wait_ms of the profile); ask the carrier how many binds are allowed"
        }
        0x0D => {
            "no reason is given: ask the carrier whether this machine's address is let in and the account is active, and which modes it \
             may bind in; try another --mode"
        }
        0x0E => "the password is wrong: look at the password file; it has at most 8 characters",
        0x0F => "the SMSC does not know this system_id: look at its letters, upper and lower case count",
        0x14 | 0x58 => "too many binds in too short a time: wait a little",
        0x53 => "the SMSC wants another --system-type: ask the carrier which",
        _ => return None,
    })
}

/// For a person: a line for each thing that was found out.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:21}{} as {}", "SMSC", self.address, self.system_id)?;
        if let Some(us) = self.connect_us {
            line(f, "connected", format!("within {}", Millis(us)))?;
            line(f, "speaks first", self.speaks_first.as_deref().unwrap_or("no"))?;
        }
        if let Some(bind) = &self.bind {
            bind.write(f, self.command)?;
        }
        if let Some(enquiries) = &self.enquiries {
            enquiries.write(f)?;
        }
        if let Some(state) = self.congestion_state {
            line(f, "congestion_state", format!("{state} of 100"))?;
        }
        self.write_windows(f)?;
        if let Some(unbind) = &self.unbind {
            unbind.write(f)?;
        }
        if self.put_off > 0 {
            line(f, "messages put off", format!("{}; the SMSC will deliver them again", self.put_off))?;
        }
        match &self.problem {
            Some(problem) => line(f, "broken off", problem),
            None => Ok(()),
        }
    }
}

impl Report {
    fn write_windows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.windows.is_empty() {
            return Ok(());
        }
        let heads = ["window", "sent", "accepted", "throttled", "queue full", "refused", "unanswered"];
        write!(f, "\n\n  ")?;
        heads.iter().try_for_each(|head| write!(f, "{head:>12}"))?;
        write!(f, "{:>12}{:>12}{:>12}", "median", "slowest", "per second")?;
        for window in &self.windows {
            let refused: u32 = window.refused.values().sum();
            let counts = [
                window.window.into(),
                window.sent,
                window.accepted,
                window.throttled,
                window.queue_full,
                refused,
                window.unanswered,
            ];
            write!(f, "\n  ")?;
            counts.iter().try_for_each(|count| write!(f, "{count:>12}"))?;
            let time = |us: Option<u64>| us.map_or("-".to_owned(), |us| Millis(us).to_string());
            write!(f, "{:>12}{:>12}{:>12}", time(window.median_us), time(window.slowest_us), window.per_second)?;
        }
        writeln!(f)?;
        for (name, begins) in [
            ("ESME_RTHROTTLED", self.begins(|window| window.throttled)),
            ("ESME_RMSGQFUL", self.begins(|window| window.queue_full)),
        ] {
            line(f, name, begins.map_or("never".to_owned(), |window| format!("from a window of {window} on")))?;
        }
        let refusals = self.windows.iter().flat_map(|window| &window.refused);
        let mut names: Vec<&String> = refusals.map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        names.iter().try_for_each(|name| line(f, "refused with", name))
    }
}

impl Bound {
    fn write(&self, f: &mut fmt::Formatter<'_>, command: &str) -> fmt::Result {
        let Some(status) = self.status else { return line(f, command, "no answer") };
        let took = self.us.map_or(String::new(), |us| format!(" within {}", Millis(us)));
        line(f, command, format!("{}{took}", CommandStatus(status)))?;
        if let Some(advice) = self.advice {
            line(f, "what to do", advice)?;
        }
        if status == 0 {
            line(f, "its system_id", format!("{:?}", self.smsc_system_id))?;
            let version = self.sc_interface_version.map_or("not told".to_owned(), |version| {
                format!("0x{version:02X}, SMPP {}.{}", version >> 4, version & 0x0F)
            });
            line(f, "sc_interface_version", version)?;
        }
        Ok(())
    }
}

impl Enquiries {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = match (self.min_us, self.median_us, self.p99_us) {
            (Some(min), Some(median), Some(p99)) => {
                format!(": min {}, median {}, p99 {}", Millis(min), Millis(median), Millis(p99))
            }
            _ => String::new(),
        };
        line(f, "enquire_link", format!("{} of {} answered{times}", self.answered, self.sent))?;
        let within = self.at_once_us.map_or(String::new(), |us| format!(" within {}", Millis(us)));
        line(f, "in parallel", format!("{} of {} answered{within}", self.at_once_answered, self.at_once))
    }
}

impl Unbound {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self.us.map_or(String::new(), |us| format!(" within {}", Millis(us)));
        let answer = match (self.answer.as_str(), self.status) {
            (answer, Some(status)) => format!("{answer} {}{took}", CommandStatus(status)),
            ("closed", None) => "the SMSC closed the connection without an answer".to_owned(),
            (_, None) => "no answer".to_owned(),
        };
        line(f, "unbind", answer)
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    write!(f, "\n{name:21}{value}")
}

/// Microseconds, shown as milliseconds.
struct Millis(u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:03} ms", self.0 / 1_000, self.0 % 1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let window = |window, throttled| WindowReport {
            window,
            sent: 20,
            accepted: 20 - throttled,
            throttled,
            median_us: Some(1_500),
            slowest_us: Some(20_000),
            per_second: 50,
            ..WindowReport::default()
        };
        Report {
            address: "192.0.2.1:2775".into(),
            system_id: "smsbus".into(),
            command: "bind_transceiver",
            connect_us: Some(250),
            bind: Some(Bound {
                status: Some(0),
                status_name: Some("ESME_ROK"),
                us: Some(12_345),
                smsc_system_id: "SMSC".into(),
                sc_interface_version: Some(0x34),
                advice: None,
            }),
            enquiries: Some(Enquiries {
                sent: 20,
                answered: 20,
                min_us: Some(90),
                median_us: Some(100),
                p99_us: Some(2_000),
                at_once: 5,
                at_once_answered: 5,
                at_once_us: Some(150),
            }),
            windows: vec![window(1, 0), window(2, 5)],
            unbind: Some(Unbound { answer: "unbind_resp".into(), status: Some(0), us: Some(100) }),
            put_off: 2,
            ..Report::default()
        }
    }

    #[test]
    fn a_report_is_written_for_a_person() {
        insta::assert_snapshot!(report(), @r#"
        SMSC                 192.0.2.1:2775 as smsbus
        connected            within 0.250 ms
        speaks first         no
        bind_transceiver     ESME_ROK (0x00) within 12.345 ms
        its system_id        "SMSC"
        sc_interface_version 0x34, SMPP 3.4
        enquire_link         20 of 20 answered: min 0.090 ms, median 0.100 ms, p99 2.000 ms
        in parallel          5 of 5 answered within 0.150 ms

                window        sent    accepted   throttled  queue full     refused  unanswered      median     slowest  per second
                     1          20          20           0           0           0           0    1.500 ms   20.000 ms          50
                     2          20          15           5           0           0           0    1.500 ms   20.000 ms          50

        ESME_RTHROTTLED      from a window of 2 on
        ESME_RMSGQFUL        never
        unbind               unbind_resp ESME_ROK (0x00) within 0.100 ms
        messages put off     2; the SMSC will deliver them again
        "#);
    }

    #[test]
    fn a_refused_bind_comes_with_what_to_do() {
        let advice = [0x05, 0x0D, 0x0E, 0x0F].map(|status| advice(CommandStatus(status)));
        assert!(advice.iter().all(Option::is_some));
        assert_eq!(super::advice(CommandStatus(0x400)), None);
    }

    #[test]
    fn the_exit_status_says_whether_everything_was_answered() {
        assert_eq!(report().exit(), Exit::Done);
        let mut refused = report();
        refused.bind.as_mut().unwrap().status = Some(0x0E);
        assert_eq!(refused.exit(), Exit::Refused);
        let mut silent = report();
        silent.enquiries.as_mut().unwrap().at_once_answered = 1;
        assert_eq!(silent.exit(), Exit::CannotTell);
        assert_eq!(Report { unbind: None, ..report() }.exit(), Exit::CannotTell);
    }
}
