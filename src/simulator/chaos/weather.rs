//! The weather: what may go wrong in each kind, and when which kind comes.

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

use super::ChaosConfig;
use crate::simulator::{
    config::{DelayRange, MoForm, ReceiptForm},
    faults::{Fault, FaultRule},
};

/// A kind of weather. What belongs to each is in `docs/simulator.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weather {
    /// Nothing goes wrong.
    Calm,
    /// Responses are lost or late, or say nothing of use.
    LostResponses,
    /// Responses come twice, in another order, of the wrong type, or with strangers.
    OddResponses,
    /// Receipts come early, late, twice, and by another link.
    StrayReceipts,
    /// Receipts as the field writes them.
    OddReceipts,
    /// Receipts that contradict one another or themselves, or never come.
    DisputedReceipts,
    /// Octets that do not belong where they are.
    BrokenFraming,
    /// Connections are reset, at every stage of a message.
    LinkResets,
    /// Binds are refused, ignored, late or believed in for too long.
    RefusedBinds,
    /// Half-open connections, and `enquire_link` without an answer.
    Silence,
    /// The SMSC reads and writes slowly.
    SlowReading,
    /// Throttled, and its queue full.
    Throttling,
    /// One listener is shut.
    ShutListener,
    /// MOs come again, and in parts.
    OddMos,
}

/// One kind of weather, for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spell {
    /// When it begins, in milliseconds from the begin of the chaos.
    pub from_ms: u64,
    /// How long it lasts, in milliseconds.
    pub for_ms: u64,
    /// What it is.
    pub weather: Weather,
    /// The faults in force.
    pub faults: Vec<FaultRule>,
    /// The listener that is shut, by its place in [`crate::simulator::Simulator::listeners`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shut_listener: Option<usize>,
    /// How often every connection is reset, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_links_every_ms: Option<u64>,
}

/// How often a fault of a storm strikes.
#[derive(Clone, Copy)]
enum Odds {
    Often,
    Seldom,
}

impl Weather {
    /// Every kind.
    pub const ALL: [Weather; 14] = [
        Weather::Calm,
        Weather::LostResponses,
        Weather::OddResponses,
        Weather::StrayReceipts,
        Weather::OddReceipts,
        Weather::DisputedReceipts,
        Weather::BrokenFraming,
        Weather::LinkResets,
        Weather::RefusedBinds,
        Weather::Silence,
        Weather::SlowReading,
        Weather::Throttling,
        Weather::ShutListener,
        Weather::OddMos,
    ];

    /// What may go wrong, with times in milliseconds that `late` and `long` draw.
    fn faults(self, late: u64, long: u64) -> Vec<(Odds, Fault)> {
        use Odds::{Often, Seldom};
        match self {
            Weather::Calm | Weather::ShutListener => Vec::new(),
            Weather::LostResponses => vec![
                (Often, Fault::DropResponse),
                (Often, Fault::DelayResponse { ms: long }),
                (Seldom, Fault::SystemError { charged: true }),
                (Seldom, Fault::SystemError { charged: false }),
                (Seldom, Fault::EmptyMessageId),
                (Seldom, Fault::MissingMessageId),
            ],
            Weather::OddResponses => vec![
                (Often, Fault::OutOfOrder),
                (Often, Fault::DuplicateResponse),
                (Often, Fault::UnknownSequenceFirst),
                (Often, Fault::GarbagePdu),
                (Often, Fault::OneSegment { ms: 20 }),
                (Seldom, Fault::WrongResponseType),
                (Seldom, Fault::NackSequenceZero),
                (Seldom, Fault::Nack),
                (Seldom, Fault::Refuse { status: 0x58, body: true }),
            ],
            Weather::StrayReceipts => vec![
                (Often, Fault::ReceiptBeforeResponse),
                (Often, Fault::LateReceipt { ms: long }),
                (Often, Fault::DuplicateReceipt),
                (Often, Fault::ReceiptOnOtherLink),
                (Often, Fault::EnrouteFirst),
                (Seldom, Fault::UnknownIdFirst),
            ],
            Weather::OddReceipts => vec![
                (Often, Fault::ReceiptAs { form: ReceiptForm::Tlv }),
                (Often, Fault::ReceiptAs { form: ReceiptForm::Payload }),
                (Seldom, Fault::ReceiptReordered),
                (Seldom, Fault::ReceiptLowerCase),
                (Seldom, Fault::ReceiptFieldsMissing),
                (Seldom, Fault::ReceiptAlphanumericErr),
                (Often, Fault::ReceiptWithoutEsmClass),
                (Seldom, Fault::ReceiptTextAndPayload),
                (Seldom, Fault::ReceiptWithoutNul),
                (Seldom, Fault::ReceiptOddTlvs),
                (Seldom, Fault::ReceiptTrailingOctets),
                (Seldom, Fault::UnknownStatFirst),
                (Seldom, Fault::PastEndFirst),
            ],
            Weather::DisputedReceipts => {
                vec![(Seldom, Fault::UndeliveredFirst), (Seldom, Fault::ReceiptDisagrees), (Seldom, Fault::NoReceipt)]
            }
            Weather::BrokenFraming => vec![
                (Often, Fault::ResponseWithoutNul),
                (Often, Fault::ResponseOddTlvs),
                (Often, Fault::ResponseTrailingOctets),
                (Seldom, Fault::BadLength { command_length: 0 }),
                (Seldom, Fault::BadLength { command_length: 15 }),
                (Seldom, Fault::BadLength { command_length: 0x7FFF_FFFF }),
            ],
            Weather::LinkResets => vec![
                (Seldom, Fault::DropLinkAfterSubmit),
                (Seldom, Fault::DropLinkBeforeCharge),
                (Seldom, Fault::UnbindMidWindow),
                (Seldom, Fault::ResetAfterBind { ms: late }),
                (Often, Fault::BareBindResponse),
            ],
            Weather::RefusedBinds => vec![
                (Often, Fault::RefuseBind { status: 0x0D }),
                (Seldom, Fault::RefuseBind { status: 0x08 }),
                (Seldom, Fault::IgnoreBind),
                (Often, Fault::DelayBind { ms: late }),
                (Often, Fault::StaleBind { ms: long }),
                (Often, Fault::EnquireLinkBeforeBindResponse),
                (Often, Fault::BindInOneSegment { ms: 20 }),
            ],
            Weather::Silence => vec![
                (Seldom, Fault::GoSilent { ms: long }),
                (Seldom, Fault::SilentAfterBind { ms: long }),
                (Often, Fault::IgnoreEnquireLink),
                (Seldom, Fault::NackEnquireLink),
                (Often, Fault::LateEnquireLink { ms: late }),
            ],
            Weather::SlowReading => vec![
                (Seldom, Fault::StopReading { ms: late }),
                (Often, Fault::Slow),
                (Often, Fault::DelayResponse { ms: late }),
            ],
            Weather::Throttling => {
                vec![(Often, Fault::Throttle), (Seldom, Fault::QueueFull), (Often, Fault::Congestion { percent: 95 })]
            }
            Weather::OddMos => vec![
                (Often, Fault::RedeliverMo),
                (Often, Fault::MoResponseLost),
                (Seldom, Fault::MoAsReceipt),
                (Often, Fault::MoInParts { form: MoForm::Udh8 }),
                (Seldom, Fault::MoInParts { form: MoForm::Udh16 }),
                (Seldom, Fault::MoInParts { form: MoForm::Sar }),
                (Seldom, Fault::MoPartsOutOfOrder),
                (Seldom, Fault::MoPartTwice),
                (Seldom, Fault::MoPartMissing),
            ],
        }
    }
}

/// The whole weather of a chaos, drawn from its seed: no gaps, and calm at the end.
pub(super) fn schedule(config: &ChaosConfig, listeners: usize) -> Vec<Spell> {
    let mut rng = StdRng::seed_from_u64(config.seed);
    let storms_end = config.length_ms.saturating_sub(config.calm_at_end_ms);
    let mut deck = Vec::new();
    let mut spells = Vec::new();
    let mut from_ms = 0;
    while from_ms < storms_end {
        if deck.is_empty() {
            deck.clone_from(&config.weathers);
            deck.shuffle(&mut rng);
        }
        let Some(weather) = deck.pop() else { break };
        let DelayRange { min, max } = config.spell_ms;
        let for_ms = rng.random_range(min..=max).min(storms_end - from_ms);
        spells.push(spell(weather, from_ms, for_ms, config.settling, listeners, &mut rng));
        from_ms += for_ms;
    }
    let calm = Spell { from_ms, for_ms: config.calm_at_end_ms, ..spell(Weather::Calm, 0, 0, true, 0, &mut rng) };
    spells.push(calm);
    spells
}

fn spell(
    weather: Weather,
    from_ms: u64,
    for_ms: u64,
    settling: bool,
    listeners: usize,
    rng: &mut impl rand::Rng,
) -> Spell {
    let strong = rng.random_bool(0.5);
    // Drawn for every weather alike, so that one more fault in a list does not change all that follows. A spell's own
    // length is the measure: short chaos has short delays.
    let late = rng.random_range(for_ms / 20..=for_ms / 5).max(1);
    let long = rng.random_range(for_ms / 5..=for_ms).max(1);
    let reset_every = rng.random_range(for_ms / 4..=for_ms / 2).max(1);
    let listener = rng.random_range(0..listeners.max(1));
    let faults = weather
        .faults(late, long)
        .into_iter()
        .filter(|(_, fault)| !(settling && fault.leaves_in_doubt()))
        .map(|(odds, fault)| {
            let probability = match (odds, strong) {
                (Odds::Often, true) => 0.4,
                (Odds::Often, false) => 0.1,
                (Odds::Seldom, true) => 0.05,
                (Odds::Seldom, false) => 0.02,
            };
            FaultRule::at_random(probability, fault)
        })
        .collect();
    Spell {
        from_ms,
        for_ms,
        weather,
        faults,
        shut_listener: (weather == Weather::ShutListener && listeners > 0).then_some(listener),
        reset_links_every_ms: matches!(weather, Weather::LinkResets | Weather::RefusedBinds).then_some(reset_every),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_seed_is_the_same_weather_and_another_is_another() {
        let of = |seed| schedule(&ChaosConfig { seed, ..ChaosConfig::default() }, 2);
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn every_kind_comes_before_one_comes_again() {
        let spells = schedule(&ChaosConfig::default(), 2);
        let first: HashSet<Weather> = spells.iter().take(Weather::ALL.len()).map(|spell| spell.weather).collect();
        assert_eq!(first.len(), Weather::ALL.len());
    }

    #[test]
    fn a_spell_is_one_json_line() {
        let spells = schedule(&ChaosConfig { seed: 3, ..ChaosConfig::default() }, 2);
        for spell in spells {
            let line = serde_json::to_string(&spell).expect("JSON");
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Spell>(&line).expect("reads back"), spell);
        }
    }

    proptest! {
        #[test]
        fn the_weather_has_no_gaps_ends_in_calm_and_every_rule_can_be(
            seed: u64, length_ms in 1_000_u64..100_000, calm_at_end_ms in 0_u64..1_000, min in 10_u64..500,
            more in 0_u64..500, settling: bool, listeners in 0_usize..4,
        ) {
            let spell_ms = DelayRange { min, max: min + more };
            let config = ChaosConfig { seed, length_ms, calm_at_end_ms, spell_ms, settling, ..ChaosConfig::default() };
            prop_assert_eq!(config.validate(), Ok(()));
            let spells = schedule(&config, listeners);
            let mut end = 0;
            for spell in &spells {
                prop_assert_eq!(spell.from_ms, end);
                end += spell.for_ms;
                prop_assert!(spell.faults.iter().all(|rule| rule.validate().is_ok()));
                prop_assert!(!settling || spell.faults.iter().all(|rule| !rule.fault.leaves_in_doubt()));
                prop_assert!(spell.shut_listener.is_none_or(|index| index < listeners));
            }
            prop_assert_eq!(end, length_ms);
            let last = spells.last().expect("one at least");
            prop_assert_eq!((last.weather, last.for_ms, last.faults.len()), (Weather::Calm, calm_at_end_ms, 0));
        }
    }
}
