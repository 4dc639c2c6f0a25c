//! What moves: every table of the books with every column, and where its value comes from. A test holds this to the schemas of both
//! stores, so what a migration adds to one of them is not forgotten here.

/// A table that moves, under the same name.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
}

/// A column of PostgreSQL.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) form: Form,
}

/// What becomes of a value of SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The column of that name as it is: integers; and texts, references and other bytes, which differ in nothing but the type.
    Same,
    /// The column of that name: 1 and 0 are true and false.
    Flag,
    /// What this expression over the row says.
    Read(&'static str),
    /// SQLite has it in the body of the charge only.
    Agency,
    /// As [`Form::Agency`]; none if the passenger bought by SMS.
    Caller,
}

macro_rules! tables {
    ($($table:ident { $($column:ident $(: $form:expr)?),+ $(,)? })+) => {
        &[$(Table {
            name: stringify!($table),
            columns: &[$(Column { name: stringify!($column), form: tables!(@form $($form)?) }),+],
        }),+]
    };
    (@form) => { Form::Same };
    (@form $form:expr) => { $form };
}

/// In the order in which they are written: what a foreign key points to comes first.
pub(super) const TABLES: &[Table] = tables! {
    charges {
        reference, version, state, msisdn, vehicle, received_at, ticket_deadline, due_at, in_doubt_since, amount_minor,
        currency, agency: Form::Agency, caller: Form::Caller, body,
    }
    attempts { reference, number, carrier, wire_reference, state, opened_at }
    journal { seq, reference, at, body }
    ledger { reference, version, account, minor, currency, posted_at }
    keys { caller, key, body_sha256, reference, repeat: Form::Flag, used_at }
    slots { msisdn, vehicle, reference, passengers, held_until }
    evidence { reference, id, words, salt }
    carrier_ids { carrier, id, reference, attempt, refund }
    mo_fingerprints { fingerprint, mo, received_at }
    tickets { reference, msisdn, vehicle, short_code, cwt, issued_at, expires_at, revoked_at }
    messages {
        id, reference, carrier, msisdn, text, ticket: Form::Flag, created_at, expires_at, state, tries, due_at,
    }
    mos {
        id, carrier, msisdn, destination, text, fingerprint, received_at, same_since, kind,
        kept_at: Form::Read("coalesce(kept_at, received_at)"), answered_at, answer_by, part_reference,
        part_wide: Form::Flag, part_total, part_number,
    }
    mo_watch { carrier, taken_at }
    parked { id, carrier, carrier_id, msisdn, received_at, body, reported_at }
    breaks { id, reference, piece, kind, at, amount_minor, currency }
    refunds { id, reference, carrier, state, minor, currency, opened_at }
    serials { vehicle, day, next }
    languages { msisdn, language }
    facts { msisdn, carrier, name, value, source, observed_at }
    homes { msisdn, carrier, refused_by, source, observed_at }
    sales { kind, name, quarter, currency, minor }
    chain { writer, number, at, entries, lines, last_seq, digest, hash }
    roots { day, root }
    generations {
        number, began_at, restored_to, lost_until, by_whom, because, books_end, places_from, writers_after,
        serials_through, done_at,
    }
    rereads { generation, carrier, done_at, payments, unknown }
    webhooks { name, cursor, failing_since, disabled, disabled_at, replay_cursor, replay_until }
    webhook_failures { webhook, entry, part, event_type, reference, failed_at, tries, due_at, why }
};

/// The column whose next values PostgreSQL counts itself: it goes on after what was moved.
pub(super) const COUNTED: (&str, &str) = ("breaks", "id");
