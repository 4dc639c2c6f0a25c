//! Rows of those who follow the events.

use serde::Serialize;

use super::AnyText;
use crate::{
    charge::Reference,
    clock::Timestamp,
    store::{EventPlace, WebhookProgress},
};

#[derive(Serialize)]
pub(in crate::store) struct WebhookRow<'a> {
    pub(in crate::store) name: &'a str,
    pub(in crate::store) cursor: u64,
    pub(in crate::store) failing_since: Option<i64>,
    pub(in crate::store) disabled: Option<&'static str>,
    pub(in crate::store) disabled_at: Option<i64>,
    pub(in crate::store) replay_cursor: Option<u64>,
    pub(in crate::store) replay_until: Option<u64>,
}

impl<'a> WebhookRow<'a> {
    pub(in crate::store) fn new(WebhookProgress { name, standing, .. }: &'a WebhookProgress) -> WebhookRow<'a> {
        WebhookRow {
            name,
            cursor: standing.cursor,
            failing_since: standing.failing_since.map(Timestamp::unix_ms),
            disabled: standing.disabled.map(|(why, _)| why.code()),
            disabled_at: standing.disabled.map(|(_, at)| at.unix_ms()),
            replay_cursor: standing.replay.map(|replay| replay.cursor),
            replay_until: standing.replay.map(|replay| replay.until),
        }
    }
}

/// The place of a failed delivery.
#[derive(Serialize)]
pub(in crate::store) struct PlaceRow<'a> {
    pub(in crate::store) webhook: &'a str,
    pub(in crate::store) entry: u64,
    pub(in crate::store) part: u8,
}

impl<'a> PlaceRow<'a> {
    pub(in crate::store) fn removed(progress: &'a WebhookProgress) -> impl Iterator<Item = PlaceRow<'a>> {
        let row = |place: &EventPlace| PlaceRow { webhook: &progress.name, entry: place.entry, part: place.part };
        progress.removed.iter().map(row)
    }
}

#[derive(Serialize)]
pub(in crate::store) struct FailedRow<'a> {
    pub(in crate::store) webhook: &'a str,
    pub(in crate::store) entry: u64,
    pub(in crate::store) part: u8,
    pub(in crate::store) event_type: &'a str,
    pub(in crate::store) reference: Reference,
    pub(in crate::store) failed_at: i64,
    pub(in crate::store) tries: u32,
    pub(in crate::store) due_at: Option<i64>,
    pub(in crate::store) why: AnyText<'a>,
}

impl<'a> FailedRow<'a> {
    pub(in crate::store) fn all(progress: &'a WebhookProgress) -> impl Iterator<Item = FailedRow<'a>> {
        progress.failed.iter().map(|failed| FailedRow {
            webhook: &progress.name,
            entry: failed.place.entry,
            part: failed.place.part,
            event_type: &failed.event_type,
            reference: failed.reference,
            failed_at: failed.failed_at.unix_ms(),
            tries: failed.tries,
            due_at: failed.due_at.map(Timestamp::unix_ms),
            why: AnyText(&failed.why),
        })
    }
}
