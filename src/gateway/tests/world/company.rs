//! Another daemon of the same database, which has all that is divided and does nothing with it.

use std::time::Duration;

use super::World;
use crate::store::{Joining, Store};

impl World {
    /// Another daemon takes each bind and each part of a rate, before a gateway runs, and keeps it for as long as what is returned is there. Nobody
    /// can ask it for anything.
    pub(crate) fn give_all_to_another(&self) -> Store {
        let divided = self.carrier_configs().flat_map(|(name, _, config)| config.divisible(&name));
        let units: Vec<String> = divided.flat_map(|divided| divided.units).collect();
        self.outside.block_on(async {
            let joining = Joining { name: "another".into(), lease: Duration::from_secs(300), ..Joining::default() };
            let another = Store::open_as(&self.store_url(), joining).await.expect("the store");
            let instances = another.instances().expect("a server serves several");
            instances.beat().await.expect("a sign of life");
            assert_eq!(instances.take(&units).await.expect("nobody has them").len(), units.len());
            another
        })
    }
}
