use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A message of more parts is not put together: no command is that long.
pub const MO_PARTS_MAX: u8 = 10;

/// Which part of a longer message a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MoPart {
    /// What the parts of one message share.
    pub reference_number: u16,
    /// Whether that number has 16 bits. One of 8 bits and one of 16 never name the same message.
    pub wide: bool,
    /// Of how many parts the message consists; at least 1.
    pub total: u8,
    /// Which one this is, from 1.
    pub number: u8,
}

impl MoPart {
    /// Whether the other can be a part of the same message, as far as the numbers tell.
    pub fn is_beside(&self, other: &MoPart) -> bool {
        MoPart { number: other.number, ..*self } == *other
    }
}

/// The text that the parts make, in whatever order they came and however often. `None` as long as one is missing, and if two differ
/// that have the same number: then nobody knows what was written.
pub fn join<'a>(parts: impl IntoIterator<Item = (MoPart, &'a str)>) -> Option<String> {
    let mut texts = BTreeMap::new();
    let mut first: Option<MoPart> = None;
    for (part, text) in parts {
        if !first.get_or_insert(part).is_beside(&part) || *texts.entry(part.number).or_insert(text) != text {
            return None;
        }
    }
    let total = first?.total;
    texts.keys().copied().eq(1..=total).then(|| texts.into_values().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(number: u8, total: u8) -> MoPart {
        MoPart { reference_number: 7, wide: false, total, number }
    }

    #[test]
    fn a_message_is_whole_once_all_its_parts_are_there() {
        assert_eq!(join([(part(2, 2), "34")]), None);
        assert_eq!(join([(part(2, 2), "34"), (part(1, 2), "12")]).as_deref(), Some("1234"));
        assert_eq!(join([]), None);
        // A number that is none of the total's leaves a hole.
        assert_eq!(join([(part(1, 2), "12"), (part(3, 2), "34")]), None);
        assert_eq!(join([(part(1, 2), "12"), (part(2, 2), "34"), (part(3, 2), "5")]), None);
    }

    #[test]
    fn parts_that_contradict_each_other_make_no_message() {
        assert_eq!(join([(part(1, 2), "12"), (part(1, 2), "13"), (part(2, 2), "34")]), None);
        let others = [
            MoPart { reference_number: 8, ..part(2, 2) },
            MoPart { wide: true, ..part(2, 2) },
            MoPart { total: 3, ..part(2, 2) },
        ];
        for other in others {
            assert_eq!(join([(part(1, 2), "12"), (other, "34")]), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn parts_make_their_text_in_every_order_and_with_repeats(
            (texts, order) in prop::collection::vec(".{0,20}", 1..10).prop_flat_map(|texts| {
                let all: Vec<usize> = (0..texts.len()).collect();
                let again = prop::collection::vec(0..texts.len(), 0..6);
                let order = again.prop_map(move |again| [all.clone(), again].concat()).prop_shuffle();
                (Just(texts), order)
            }),
            missing in any::<prop::sample::Index>(),
        ) {
            let total = u8::try_from(texts.len()).expect("few");
            let place = |at: &usize| (part(u8::try_from(*at).expect("few") + 1, total), texts[*at].as_str());
            prop_assert_eq!(join(order.iter().map(place)), Some(texts.concat()));
            let missing = missing.index(texts.len());
            prop_assert_eq!(join(order.iter().filter(|at| **at != missing).map(place)), None);
        }
    }
}
