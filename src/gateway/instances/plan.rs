//! Who has what. Every daemon reckons for itself, from what all of them see, and comes to the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    carrier::Divisible,
    store::{Census, InstanceId, InstanceStanding, Lease},
};

/// What one daemon does to come to its part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// To be leased.
    pub(super) take: Vec<String>,
    /// To be used no more, and then given back.
    pub(super) leave: Vec<String>,
}

/// What `me` should take and leave, of what is divided. Of each kind everybody who divides it has as many as the others, or one more: the
/// oldest come first, so that who comes last changes least.
pub(super) fn plan(me: InstanceId, divided: &[Divisible], census: &Census) -> Plan {
    let live: BTreeMap<InstanceId, &[String]> = census
        .peers
        .iter()
        .filter(|peer| peer.standing == InstanceStanding::Live)
        .map(|peer| (peer.id, peer.divides.as_slice()))
        .collect();
    let is_held = |lease: &&Lease| lease.holder == me || live.contains_key(&lease.holder);
    let held: BTreeMap<&str, InstanceId> =
        census.leases.iter().filter(is_held).map(|lease| (lease.name.as_str(), lease.holder)).collect();
    let mut plan = Plan::default();
    for Divisible { name, units } in divided {
        let divides = |(id, divides): (&InstanceId, &&[String])| divides.contains(name).then_some(*id);
        let mut sharers: BTreeSet<InstanceId> = live.iter().filter_map(divides).collect();
        sharers.insert(me);
        let part = part(units.len(), sharers.len(), sharers.range(..me).count());
        let mine: Vec<&String> = units.iter().filter(|unit| held.get(unit.as_str()) == Some(&me)).collect();
        plan.leave.extend(mine.iter().skip(part).map(|unit| (*unit).clone()));
        let free = units.iter().filter(|unit| !held.contains_key(unit.as_str()));
        plan.take.extend(free.take(part.saturating_sub(mine.len())).cloned());
    }
    plan
}

/// How many of `units` the one has who comes after `before` others, if `sharers` divide them.
fn part(units: usize, sharers: usize, before: usize) -> usize {
    units / sharers + usize::from(before < units % sharers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::Peer;

    fn divided(units: usize) -> Divisible {
        Divisible { name: "binds".into(), units: (0..units).map(|n| format!("bind {n}")).collect() }
    }

    fn census(me: i64, live: &[i64], leases: &BTreeMap<String, i64>) -> Census {
        let peer = |id: &i64| Peer {
            id: InstanceId(*id),
            name: id.to_string(),
            address: None,
            divides: vec!["binds".into()],
            beats: 0,
            is_late: false,
            standing: InstanceStanding::Live,
        };
        Census {
            clock: None,
            is_fenced: false,
            peers: live.iter().filter(|id| **id != me).map(peer).collect(),
            leases: leases.iter().map(|(name, id)| Lease { name: name.clone(), holder: InstanceId(*id) }).collect(),
        }
    }

    /// Lets everybody do what he plans, in turn, until nobody plans anything.
    fn settle(live: &[i64], units: usize, leases: &mut BTreeMap<String, i64>) {
        for _ in 0..=2 * units {
            let mut moves = 0;
            for me in live {
                let Plan { take, leave } = plan(InstanceId(*me), &[divided(units)], &census(*me, live, leases));
                moves += take.len() + leave.len();
                leases.retain(|unit, _| !leave.contains(unit));
                for unit in take {
                    let before = leases.insert(unit, *me);
                    assert!(before.is_none_or(|holder| !live.contains(&holder)), "nothing is taken from who has it");
                }
            }
            if moves == 0 {
                return;
            }
        }
        panic!("they go on exchanging: {leases:?}");
    }

    #[test]
    fn the_only_one_has_everything_and_who_comes_later_gets_a_part() {
        let mut leases = BTreeMap::new();
        settle(&[7], 4, &mut leases);
        assert_eq!(leases.values().filter(|id| **id == 7).count(), 4);
        settle(&[7, 9], 4, &mut leases);
        assert_eq!(leases.values().filter(|id| **id == 9).count(), 2);
    }

    #[test]
    fn with_fewer_things_than_daemons_the_oldest_keep_theirs() {
        let mut leases = BTreeMap::new();
        settle(&[1, 2, 3], 1, &mut leases);
        assert_eq!(leases, BTreeMap::from([("bind 0".into(), 1)]));
        settle(&[2, 3], 1, &mut leases);
        assert_eq!(leases, BTreeMap::from([("bind 0".into(), 2)]));
    }

    #[test]
    fn who_is_configured_otherwise_divides_nothing_with_us() {
        let mut other = census(1, &[1, 2], &BTreeMap::new());
        other.peers[0].divides = vec!["other binds".into()];
        assert_eq!(plan(InstanceId(1), &[divided(2)], &other).take, ["bind 0", "bind 1"]);
    }

    proptest! {
        #[test]
        fn whoever_comes_and_goes_all_is_had_and_fairly(
            units in 1..9_usize,
            steps in prop::collection::vec(prop::collection::btree_set(1..9_i64, 1..5), 1..6),
        ) {
            let mut leases = BTreeMap::new();
            for live in steps {
                let live: Vec<i64> = live.into_iter().collect();
                settle(&live, units, &mut leases);
                let parts: Vec<usize> =
                    live.iter().map(|id| leases.values().filter(|holder| *holder == id).count()).collect();
                prop_assert_eq!(parts.iter().sum::<usize>(), units);
                prop_assert!(parts.iter().max().unwrap_or(&0) - parts.iter().min().unwrap_or(&0) <= 1);
            }
        }
    }
}
