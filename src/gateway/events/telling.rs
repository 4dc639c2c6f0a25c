//! What is written beside an entry of the journal, so that its events can be told later.

use crate::{
    charge::{Charge, Effect},
    gateway::Inner,
    store::{StoredTicket, Told, ToldSeller},
};

impl Inner {
    /// What the step from `before` to `after` tells.
    pub(in crate::gateway) fn told(
        &self,
        before: &Charge,
        after: &Charge,
        effects: &[Effect],
        ticket: Option<&StoredTicket>,
    ) -> Told {
        let told = Told::of(before, after, effects, ticket);
        let seller = if told.wants_seller() { self.seller(after) } else { None };
        Told { seller, ..told }
    }

    /// As the catalogue has it now. `None` for an agency that it has no longer.
    fn seller(&self, charge: &Charge) -> Option<ToldSeller> {
        let order = &charge.order;
        let books = self.books.load();
        let agency = books.catalogue.agency(&order.agency)?;
        let city = books.catalogue.city(&order.city);
        let time_zone = city.and_then(|city| city.time_zone.iana_name()).map(str::to_owned);
        let (name, tax_id) = (agency.name.clone(), agency.tax_id.clone());
        Some(ToldSeller { name, tax_id, time_zone, fare_vat: charge.terms.fare_vat })
    }
}
