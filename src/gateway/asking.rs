//! What carriers are being asked about. Where they answer more slowly than the schedule asks, the same question does not pile up.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::charge::Reference;

/// What is asked about. Once more is known to ask by, it is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct About {
    /// Of a charge, or of a refund.
    pub(super) reference: Reference,
    /// The number of the attempt; 0 for a refund.
    pub(super) attempt: u16,
    /// Whether the carrier's own id is known.
    pub(super) has_id: bool,
}

/// What a question is under way about: no more than there is undecided. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Asking(Arc<Mutex<HashSet<About>>>);

/// A question under way; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Question {
    asking: Asking,
    about: About,
}

impl Asking {
    /// `None` if a question about the same is under way already.
    pub(super) fn begin(&self, about: About) -> Option<Question> {
        self.lock().insert(about).then(|| Question { asking: self.clone(), about })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<About>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.asking.lock().remove(&self.about);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_about_a_thing_is_under_way_at_a_time() {
        let asking = Asking::default();
        let one = About { reference: Reference::from_bytes([1; 16]), attempt: 1, has_id: false };
        let other = About { has_id: true, ..one };
        let question = asking.begin(one).expect("nobody asks");
        assert!(asking.begin(one).is_none());
        assert!(asking.begin(other).is_some());
        drop(question);
        assert!(asking.begin(one).is_some());
    }
}
