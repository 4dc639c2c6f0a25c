'use strict';
// Passengers and what they are told, the same for every SMSC.

const assert = require('node:assert/strict');

const VEHICLE = '1234';
const FARE = 8000;

/** The n-th phone of a scenario, of which each has its own thousand. */
const phone = (n, thousand = 0) => `7705100${String(thousand * 1000 + n).padStart(4, '0')}`;
const phones = (count, thousand = 0) => Array.from({ length: count }, (_, n) => phone(n, thousand));
const shortCode = (text) => text.split('\n')[0];

/** A ticket of bus 1234 in Russian, as a phone shows it. */
function checkTicket(text) {
  assert.ok(text.length <= 70, `a ticket is one SMS, not ${text}`);
  assert.match(text, /^Билет [0-9A-HJKMNP-TV-Z]{4}.?[0-9A-HJKMNP-TV-Z]{4}\nАвтобус 92, борт 1234\n/);
}

module.exports = { VEHICLE, FARE, phone, phones, shortCode, checkTicket };
