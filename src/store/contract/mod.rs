//! The contract of the store, a rule per function. Every rule is run on every backend.

mod batches;
pub(super) mod fixture;
pub(super) mod known;
mod messages;
mod openings;
mod outstanding;
mod parts;
mod questions;
pub(super) mod random;
mod settlements;
mod webhooks;

use tempfile::TempDir;

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, ConnectOptions, postgres::PgConnectOptions};

use super::{Memory, Sqlite, SqliteConfig, Store};

/// A new database in `folder`.
async fn sqlite_in(folder: &TempDir) -> Store {
    let config = SqliteConfig::new(folder.path().join("store.db"));
    Store::Sqlite(Sqlite::open(config).await.unwrap())
}

/// The address of a new schema on the server that `scripts/postgres` started for the tests.
pub(crate) async fn new_schema(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("SMSBUSD_TEST_POSTGRES").expect("run it with scripts/postgres");
    let schema = format!("{name:.40}_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let mut db = url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).execute(&mut db).await.unwrap();
    format!("{url}&options=-csearch_path%3D{schema}")
}

macro_rules! on_every_backend {
    ($($topic:ident: $($rule:ident),* $(,)?;)*) => {
        mod on_memory {
            use super::*;
            $($(
                #[tokio::test]
                async fn $rule() {
                    $topic::$rule(Store::Memory(Memory::default())).await;
                }
            )*)*
        }
        mod on_sqlite {
            use super::*;
            $($(
                #[tokio::test]
                async fn $rule() {
                    let folder = tempfile::tempdir().unwrap();
                    $topic::$rule(sqlite_in(&folder).await).await;
                }
            )*)*
        }
        mod on_postgres {
            use super::*;
            $($(
                #[tokio::test]
                #[ignore = "needs a server: scripts/postgres"]
                async fn $rule() {
                    let store = Store::open(&new_schema(stringify!($rule)).await).await.unwrap();
                    $topic::$rule(store).await;
                }
            )*)*
        }
    };
}

on_every_backend! {
    openings:
        what_was_opened_is_read_back_whole,
        m01_an_attempt_has_a_row_and_a_charge_without_one_was_never_sent,
        m15_the_same_key_with_the_same_body_replays_and_writes_nothing,
        m15_the_same_key_with_another_body_is_a_conflict,
        m15_the_same_key_of_another_caller_is_another_key,
        m13_a_repeat_is_replayed_as_a_repeat,
        a_repeat_of_a_charge_that_does_not_exist_is_refused,
        m12_a_held_slot_refuses_a_second_charge_and_leaves_no_key,
        m12_a_slot_whose_time_is_over_is_taken_and_its_open_charge_is_superseded,
        m12_an_open_charge_before_its_deadline_keeps_a_slot_whose_time_is_over,
        a_slot_whose_charge_has_ended_is_taken_and_nothing_is_superseded,
        m13_a_claim_that_replaces_the_holder_is_granted_and_given_back,
        m14_an_opening_over_a_bound_of_the_subscriber_writes_nothing,
        m14_a_bound_outranks_a_held_slot_and_not_a_known_key,
        slots_of_other_vehicles_and_subscribers_are_free,
        a_charge_without_a_claim_takes_no_slot,
        a_reference_exists_once,
        a_key_that_is_too_long_is_refused;
    settlements:
        m10_the_charge_its_postings_its_ticket_and_its_messages_commit_together,
        m10_nothing_of_a_refused_settlement_is_to_be_seen,
        a_settlement_from_an_older_version_is_stale_and_writes_nothing,
        a_settlement_of_an_unknown_charge_is_stale,
        m09_the_same_evidence_is_counted_once,
        m09_evidence_that_changes_nothing_is_counted_too,
        what_a_carrier_said_is_kept_beside_the_evidence_word_for_word,
        entries_that_do_not_add_up_are_refused,
        parts_that_speak_of_another_charge_are_refused,
        a_slot_is_held_on_released_or_left_to_its_new_holder,
        m14_a_revoked_ticket_is_past_and_stays_revoked,
        an_extended_ticket_takes_the_place_of_the_first,
        a_break_is_kept_with_the_amount,
        balances_add_up_to_zero,
        m09_a_receipt_parked_before_its_response_is_returned_when_the_id_is_learned,
        m09_a_receipt_after_its_response_is_owned_and_not_parked,
        m09_an_id_used_again_belongs_to_the_newest,
        m14_the_id_of_a_refunds_message_names_the_refund_and_finds_what_was_parked_for_it;
    messages:
        an_mo_is_kept_once_within_the_window,
        an_answer_and_its_messages_are_written_once,
        an_opening_answers_its_mo,
        an_mo_is_answered_by_a_charge_or_without_one_and_never_by_both,
        an_mo_that_is_handed_over_waits_apart_until_it_is_answered,
        an_answer_to_an_mo_that_was_never_kept_writes_nothing,
        tickets_are_due_before_other_messages_and_the_longest_due_first,
        a_message_is_due_at_its_own_carrier_and_not_before_its_time,
        a_message_in_a_final_state_stays_there,
        a_message_learns_its_id_and_its_parked_receipts,
        a_message_exists_once,
        a_receipt_is_parked_once_and_unparked,
        serials_are_leased_in_blocks_per_vehicle_and_day,
        serials_do_not_wrap,
        a_passenger_changes_the_language,
        text_is_kept_to_the_last_character;
    parts:
        case_39_parts_are_kept_until_they_are_joined_once,
        case_39_a_part_that_comes_twice_is_kept_once,
        case_39_a_part_of_a_message_that_was_given_up_starts_nothing,
        a_phone_that_numbers_all_its_messages_alike_loses_none,
        parts_of_other_messages_are_kept_apart,
        the_open_parts_of_a_number_are_bounded,
        a_message_is_not_made_of_nothing_nor_is_it_a_part,
        what_a_message_is_taken_for_is_kept,
        a_second_delivery_is_known_by_when_the_first_was_kept,
        a_message_that_is_to_be_sent_again_is_a_new_one_once_it_is_answered,
        the_last_moment_at_which_messages_could_be_taken_is_kept_by_carrier;
    questions:
        due_charges_come_longest_due_first_and_only_when_due,
        what_is_under_way_is_neither_decided_nor_in_doubt,
        the_open_charges_of_a_subscriber_are_found,
        m16_what_is_in_doubt_is_counted_aged_and_summed,
        m14_limits_count_what_is_taken_open_or_in_doubt_until_its_lag,
        charges_are_listed_newest_first_by_every_filter_and_paged,
        tickets_are_listed_newest_first,
        messages_of_a_passenger_are_counted_since_a_moment,
        what_is_kept_before_purchases_is_what_each_look_alone_finds,
        what_is_not_kept_is_not_found,
        the_store_beats;
    outstanding:
        m14_the_refund_list_has_every_refund_that_is_not_settled_parts_too,
        m14_the_refund_list_is_paged_and_filtered_by_standing_age_and_carrier,
        m16_what_is_outstanding_is_counted_aged_and_summed_by_carrier,
        what_nobody_owns_is_listed_by_age_and_reported_once;
    known:
        of_two_statements_about_a_fact_the_one_observed_later_stays,
        of_two_statements_about_a_home_the_one_observed_later_stays,
        what_is_known_is_forgotten_by_age_and_by_number_the_oldest_first,
        m14_what_is_sold_is_what_is_taken_open_or_in_doubt,
        m14_what_is_sold_is_summed_by_the_quarter_in_which_it_was_asked_for,
        m14_a_doubt_past_its_deadline_and_lag_is_told_apart;
    webhooks:
        the_settled_journal_is_all_journals_in_the_order_of_their_commits,
        the_latest_moment_in_the_books_is_not_always_that_of_the_last_entry,
        no_character_of_an_order_holds_up_the_journal,
        a_batch_settles_each_charge_in_its_order,
        those_who_follow_hear_of_commits_and_of_no_others,
        a_webhook_stands_where_it_was_left,
        failed_deliveries_are_kept_until_they_are_removed;
    batches:
        each_write_of_a_batch_gets_its_own_answer,
        two_writes_of_one_charge_cannot_share_a_batch,
        a_charge_settles_in_one_batch_after_the_other,
        a_batch_with_one_refused_write_leaves_no_trace,
        an_empty_batch_is_nothing,
        group_commit_answers_everybody,
        group_commit_lets_one_bad_write_fail_alone,
        group_commit_keeps_the_order_of_writes_of_one_charge,
        group_commit_opens_one_of_many_with_the_same_key,
        group_commit_gives_a_slot_to_one_of_many,
        group_commit_writes_what_its_caller_no_longer_waits_for,
        group_commit_drains_when_it_closes,
        a_closed_store_writes_nothing;
}
