'use strict';
// Buying at a carrier over CAMARA: what every scenario does with the daemon.

const assert = require('node:assert/strict');
const { until } = require('../daemon');

const VEHICLE = '1234';
const FARE_MINOR = 8_000;
const OPEN = ['processing'];

let lastPhone = 0;

/** A number that nobody had before: '+7701…'. */
function newPhone() {
  lastPhone += 1;
  return `+7701${String(2_000_000 + lastPhone)}`;
}

/** Buys one fare; resolves to the charge's reference. */
async function buy(daemon, msisdn) {
  const { status, body } = await daemon.post('/v1/charges', { msisdn, vehicle: VEHICLE }, `buy ${msisdn}`);
  assert.ok(status === 201 || status === 202, `POST /v1/charges: ${status} ${JSON.stringify(body)}`);
  return body.reference;
}

/** The charge once it is in one of the states, and it has `seconds` to get there. */
async function untilState(daemon, reference, states, seconds = 20) {
  let charge;
  const there = async () => {
    charge = await daemon.get(`/v1/charges/${reference}`);
    return states.includes(charge.state) && charge;
  };
  return until(`${reference} is ${states.join(' or ')}`, there, seconds).catch(async (error) => {
    const { entries } = await daemon.get(`/v1/charges/${reference}/journal`);
    throw new Error(`${error.message}: it is ${charge.state}; its last steps: ${JSON.stringify(entries.slice(-3))}`);
  });
}

/** Buys, and waits for a state. It has a ticket if it is charged, and none otherwise. */
async function buyUntil(daemon, msisdn, state, seconds) {
  const charge = await untilState(daemon, await buy(daemon, msisdn), [state], seconds);
  assert.equal(charge.ticket !== undefined, state === 'charged', `a ticket if and only if it is charged: ${msisdn}`);
  assert.deepEqual(charge.amount, { minor: FARE_MINOR, currency: 'KZT' });
  return charge;
}

/** Asks for money back: all that is left, or so much. */
async function refund(daemon, { reference }, key, amountMinor) {
  const body = amountMinor === undefined ? {} : { amount_minor: amountMinor };
  const answer = await daemon.post(`/v1/charges/${reference}/refunds`, body, key);
  assert.equal(answer.status, 202, JSON.stringify(answer.body));
  return answer.body;
}

/** Passes on a one-time password. */
async function enter(daemon, reference, otp) {
  const answer = await daemon.post(`/v1/charges/${reference}/otp`, { otp });
  assert.ok(answer.status === 200 || answer.status === 202, JSON.stringify(answer.body));
}

/** What is known of a number: { name of the fact: { value, silent } }. */
async function facts(daemon, msisdn) {
  const { findings } = await daemon.get(`/v1/eligibility?msisdn=${encodeURIComponent(msisdn)}`);
  const known = findings.filter(({ basis }) => basis.kind === 'fact');
  return Object.fromEntries(known.map(({ basis, silent = [] }) => [basis.name, { ...basis, silent }]));
}

module.exports = { FARE_MINOR, OPEN, newPhone, buy, buyUntil, untilState, refund, enter, facts };
