use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

use tokio::sync::{Mutex, MutexGuard};

const STRIPES: usize = 8_192;

/// A fixed number of locks shared out by hash: bounded memory whatever the number of keys, and two keys rarely meet.
#[derive(Debug)]
pub(super) struct Striped {
    stripes: Vec<Mutex<()>>,
}

impl Default for Striped {
    fn default() -> Striped {
        Striped { stripes: (0..STRIPES).map(|_| Mutex::new(())).collect() }
    }
}

impl Striped {
    /// Waits for the lock that `key` falls to.
    pub(super) async fn lock<K: Hash>(&self, key: K) -> MutexGuard<'_, ()> {
        let stripe =
            usize::try_from(BuildHasherDefault::<DefaultHasher>::new().hash_one(key) % STRIPES as u64).unwrap_or(0);
        self.stripes[stripe].lock().await
    }
}
