'use strict';
// `smsbusd simulate` behind Prism's proxies: each request of the gateway's, and each answer of the simulator's, is held to the
// files. Events on their way to the gateway are held to them here, by ajv. Then both books are compared.

const assert = require('node:assert/strict');
const { until } = require('../daemon');
const { FARE_MINOR, buy, buyUntil, untilState, refund, enter, facts } = require('./passengers');

const OTP = '352673';

/** One phone for each condition of the simulator's, and what the gateway is to make of it. */
const PHONES = {
  rich: { msisdn: '+77011000001', state: 'charged' },
  poor: { msisdn: '+77011000002', state: 'rejected', reason: 'insufficient_balance' },
  corporate: { msisdn: '+77011000003', state: 'declined', reason: 'corporate_number' },
  debtor: { msisdn: '+77011000004', state: 'rejected', reason: 'credit_debt' },
  swapped: { msisdn: '+77011000005', state: 'declined', reason: 'recent_sim_swap' },
  barred: { msisdn: '+77011000006', state: 'rejected', reason: 'barred' },
  stranger: { msisdn: '+77011000007', state: 'rejected', reason: 'not_our_subscriber' },
  lost: { msisdn: '+77011000008', state: 'charged' },
  partly: { msisdn: '+77011000009', state: 'charged' },
};
const WITH_OTP = { msisdn: '+77011000010', state: 'charged' };
const NEVER_ENTERS = { msisdn: '+77011000011', state: 'rejected', reason: 'otp_expired' };

/** These phones, in the words of the simulator's configuration. */
const subscriber = ({ msisdn }, balanceMinor, line = '') =>
  `[subscribers."${msisdn}"]\nbalance_minor = ${balanceMinor}\n${line}\n`;
const SUBSCRIBERS = [
  subscriber(PHONES.poor, 100),
  subscriber(PHONES.corporate, 500_000, 'conditions = ["corporate_number"]'),
  subscriber(PHONES.debtor, 500_000, 'conditions = ["credit_debt"]'),
  subscriber(PHONES.swapped, 500_000, 'conditions = ["recent_sim_swap"]'),
  subscriber(PHONES.barred, 500_000, 'conditions = ["barred"]'),
  subscriber(PHONES.stranger, 0, 'conditions = ["unknown"]'),
  subscriber(WITH_OTP, 500_000, `otp = "${OTP}"`),
  subscriber(NEVER_ENTERS, 500_000, `otp = "${OTP}"`),
].join('');

const REASONS = `
[carriers.kcell.camara.reasons]
"insufficient balance" = "insufficient_balance"
"corporate number" = "corporate_number"
"unpaid trust payment" = "credit_debt"
`;

async function everybodyBuys({ daemon, between, simulator }, taking) {
  // The answer to one payment is lost on its way from the proxy: it is looked for in the carrier's list.
  const isLost = ({ operation, asked }) =>
    operation.id === taking && asked.amountTransaction.phoneNumber === PHONES.lost.msisdn;
  between.change = (exchange) => ({ lose: isLost(exchange) });
  const charges = await Promise.all(
    Object.entries(PHONES).map(async ([name, { msisdn, state, reason }]) => {
      const charge = await buyUntil(daemon, msisdn, state, 30);
      assert.equal(charge.reason, reason, name);
      return [name, charge];
    }),
  );
  const { rich, partly } = Object.fromEntries(charges);
  await refund(daemon, rich, 'all');
  await refund(daemon, partly, 'a part', 3_000);
  // A refund that is not settled at once is asked about after a minute.
  await untilState(daemon, rich.reference, ['refunded'], 100);
  await until('a part went back', async () => (await simulator.get('/ledger')).refunds.length === 2);
  const known = await facts(daemon, PHONES.swapped.msisdn);
  assert.equal(known.recent_sim_swap.counted_as, 'true');
  assert.ok(between.of('retrievePayments').length > 0, 'the lost payment was looked for');
}

async function oneStep(world) {
  await everybodyBuys(world, 'createPayment');
  return summary(world);
}

async function twoSteps(world) {
  const { daemon, between } = world;
  await everybodyBuys(world, 'preparePayment');
  // Only the answer to prepare can say how a password is passed on, and one that says "processing" does not.
  if (world.answers === 'settled') await passwords(world);
  const never = await buyUntil(daemon, NEVER_ENTERS.msisdn, NEVER_ENTERS.state, 60);
  assert.equal(never.reason, NEVER_ENTERS.reason);
  assert.equal(between.of('cancelPayment').length, 1);
  return summary(world);
}

/** A wrong password, and the right one. */
async function passwords({ daemon, between }) {
  const reference = await buy(daemon, WITH_OTP.msisdn);
  await untilState(daemon, reference, ['awaiting_otp']);
  await enter(daemon, reference, '000000');
  await until('the wrong password was refused', () => between.of('validatePayment').some(({ status }) => status === 400));
  await untilState(daemon, reference, ['awaiting_otp']);
  await enter(daemon, reference, OTP);
  await untilState(daemon, reference, ['charged']);
}

/** Compares the books, and counts. */
async function summary({ daemon, between, simulator, events }) {
  const { charges } = await daemon.get('/v1/charges?limit=200');
  const taken = charges.filter(({ state }) => ['charged', 'refunded'].includes(state));
  const ledger = await simulator.get('/ledger');
  const references = (list) => list.map(({ reference }) => reference.replaceAll('-', '')).sort();
  assert.deepEqual(references(ledger.entries), references(taken), 'the two ledgers are equal');
  assert.equal(ledger.total.minor, taken.length * FARE_MINOR);
  assert.deepEqual(ledger.charged_twice, {}, 'nobody was charged twice');
  const { violations, violations_last: last } = (await simulator.get('/stats')).http;
  assert.equal(violations, 0, `the simulator found wrong: ${JSON.stringify(last)}`);
  await until('every event was delivered', async () => (await simulator.get('/stats')).http.callbacks_pending === 0);
  const operations = new Set(between.exchanges.map(({ operation }) => operation.id));
  return { charged: taken.length, refunds: ledger.refunds.length, operations: operations.size, events: events.seen.length };
}

const carrier = (extra) => () => `${REASONS}\n${extra}`;

exports.SUBSCRIBERS = SUBSCRIBERS;
exports.scenarios = ['settled', 'processing'].flatMap((answers) => [
  { name: `the simulator, one step, answers = "${answers}"`, simulates: answers, facts: true, config: carrier(''), act: oneStep },
  {
    name: `the simulator, two steps, answers = "${answers}"`,
    simulates: answers,
    facts: true,
    config: carrier('[carriers.kcell.camara]\ntwo_step = true\n[gateway]\nticket_deadline_seconds = 20'),
    act: twoSteps,
  },
]);
