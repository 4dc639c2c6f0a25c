//! The rules in force, and what they draw.

use rand::{Rng, RngExt};

use super::{Fault, FaultRule, InvalidFault, Purpose, Strikes};
use crate::{msisdn::Msisdn, simulator::http::Operation};

/// Rules at a time.
pub(super) const RULES_MAX: usize = 10_000;

/// The rules in force.
#[derive(Debug, Default)]
pub(in crate::simulator) struct FaultBook {
    rules: Vec<(RuleId, FaultRule)>,
    next: u64,
}

/// A rule in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) struct RuleId(u64);

impl FaultBook {
    /// Puts a rule in force. It does not end it: see `Shared::set_fault`. Errors: see [`InvalidFault`].
    pub(in crate::simulator) fn add(&mut self, rule: FaultRule) -> Result<RuleId, InvalidFault> {
        rule.validate()?;
        if self.rules.len() >= RULES_MAX {
            return Err(InvalidFault::TooMany);
        }
        self.next += 1;
        self.rules.push((RuleId(self.next), rule));
        Ok(RuleId(self.next))
    }

    /// Ends a rule, if it still is in force.
    pub(in crate::simulator) fn remove(&mut self, id: RuleId) {
        self.rules.retain(|(other, _)| *other != id);
    }

    pub(in crate::simulator) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The rules that are in force for some time only, and for how long, in milliseconds.
    pub(in crate::simulator) fn timed(&self) -> Vec<(RuleId, u64)> {
        self.rules.iter().filter_map(|(id, rule)| Some((*id, rule.for_ms?))).collect()
    }

    pub(in crate::simulator) fn rules(&self) -> Vec<FaultRule> {
        self.rules.iter().map(|(_, rule)| rule.clone()).collect()
    }

    /// The faults that strike a message of `msisdn` submitted by the client.
    pub(in crate::simulator) fn draw_for_submit(
        &mut self,
        msisdn: Msisdn,
        purpose: Purpose,
        rng: &mut impl Rng,
    ) -> Vec<Fault> {
        self.draw(Strikes::Submission, Some((msisdn, purpose)), rng)
    }

    /// The faults that strike an MO of `msisdn`.
    pub(in crate::simulator) fn draw_for_mo(&mut self, msisdn: Msisdn, rng: &mut impl Rng) -> Vec<Fault> {
        self.draw(Strikes::Mo, Some((msisdn, Purpose::Text)), rng)
    }

    /// The faults that strike a bind or a link.
    pub(in crate::simulator) fn draw_for_link(&mut self, strikes: Strikes, rng: &mut impl Rng) -> Vec<Fault> {
        self.draw(strikes, None, rng)
    }

    /// The faults that strike a request over HTTP; a number that it does not say is nobody's.
    pub(in crate::simulator) fn draw_for_http(
        &mut self,
        operation: Operation,
        msisdn: Option<Msisdn>,
        rng: &mut impl Rng,
    ) -> Vec<Fault> {
        self.draw_where(rng, |rule| {
            let second_step = matches!(operation, Operation::Confirm | Operation::Cancel);
            rule.fault.strikes() == Strikes::Http
                && rule.operation.is_none_or(|only| only == operation)
                && rule.msisdn.is_none_or(|only| Some(only) == msisdn)
                && (rule.fault != Fault::HttpLost || second_step)
        })
    }

    fn draw(&mut self, strikes: Strikes, message: Option<(Msisdn, Purpose)>, rng: &mut impl Rng) -> Vec<Fault> {
        self.draw_where(rng, |rule| {
            rule.fault.strikes() == strikes
                && message.is_none_or(|(msisdn, purpose)| {
                    rule.msisdn.is_none_or(|only| only == msisdn) && rule.traffic.includes(purpose)
                })
        })
    }

    fn draw_where(&mut self, rng: &mut impl Rng, fits: impl Fn(&FaultRule) -> bool) -> Vec<Fault> {
        let mut drawn = Vec::new();
        for (_, rule) in &mut self.rules {
            if fits(rule) && rng.random_bool(rule.probability) {
                rule.times = rule.times.map(|left| left.saturating_sub(1));
                drawn.push(rule.fault);
            }
        }
        self.rules.retain(|(_, rule)| rule.times != Some(0));
        drawn
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::{super::Traffic, *};

    fn number(text: &str) -> Msisdn {
        text.parse().expect("a number")
    }

    #[test]
    fn a_rule_strikes_its_number_as_often_as_it_says() {
        let (ours, other) = (number("77010000001"), number("77010000002"));
        let (mut book, mut rng) = (FaultBook::default(), StdRng::seed_from_u64(1));
        book.add(FaultRule::for_number(ours, 2, Fault::DropResponse).only(Traffic::Charged)).expect("valid");
        assert_eq!(book.draw_for_submit(other, Purpose::Charge, &mut rng), []);
        assert_eq!(book.draw_for_submit(ours, Purpose::Text, &mut rng), []);
        assert_eq!(book.draw_for_submit(ours, Purpose::Charge, &mut rng), [Fault::DropResponse]);
        assert_eq!(book.draw_for_submit(ours, Purpose::Charge, &mut rng), [Fault::DropResponse]);
        assert_eq!(book.draw_for_submit(ours, Purpose::Charge, &mut rng), []);
        assert!(book.rules().is_empty());
    }

    #[test]
    fn chance_repeats_with_its_seed() {
        let draw = |seed| {
            let (mut book, mut rng) = (FaultBook::default(), StdRng::seed_from_u64(seed));
            book.add(FaultRule::at_random(0.5, Fault::Throttle)).expect("valid");
            (0..64)
                .map(|_| book.draw_for_submit(number("77010000001"), Purpose::Charge, &mut rng).len())
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!((16..48).contains(&draw(7).iter().sum::<usize>()));
    }

    #[test]
    fn an_mo_draws_only_what_can_happen_to_an_mo() {
        let (mut book, mut rng) = (FaultBook::default(), StdRng::seed_from_u64(1));
        book.add(FaultRule::always(Fault::RedeliverMo)).expect("valid");
        book.add(FaultRule::always(Fault::Slow)).expect("valid");
        assert_eq!(book.draw_for_mo(number("77010000001"), &mut rng), [Fault::RedeliverMo]);
        assert_eq!(book.draw_for_submit(number("77010000001"), Purpose::Text, &mut rng), [Fault::Slow]);
    }

    #[test]
    fn a_bind_draws_only_faults_of_binds_and_a_removed_rule_strikes_no_more() {
        let (mut book, mut rng) = (FaultBook::default(), StdRng::seed_from_u64(1));
        let refuse = book.add(FaultRule::always(Fault::RefuseBind { status: 0x0D })).expect("valid");
        book.add(FaultRule::always(Fault::Nack)).expect("valid");
        assert_eq!(book.draw_for_link(Strikes::Bind, &mut rng), [Fault::RefuseBind { status: 0x0D }]);
        assert_eq!(book.draw_for_link(Strikes::EnquireLink, &mut rng), []);
        book.remove(refuse);
        assert_eq!(book.draw_for_link(Strikes::Bind, &mut rng), []);
        assert_eq!(book.rules().len(), 1);
    }
}
