'use strict';
// Against the mocks that Prism makes of the files. Each scenario has a daemon of its own. Prism judges the requests; what the
// gateway makes of the answers is asserted here.

const assert = require('node:assert/strict');
const { until } = require('../daemon');
const { errorsOf } = require('./errors');
const { newPhone, buy, buyUntil, untilState, refund, enter, facts } = require('./passengers');

const TWO_STEP = () => 'carriers.kcell.camara.two_step = true\n';
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** All of them at once; the first that fails fails it. */
const each = (list, act) => Promise.all(list.map(act));
const byPhone = (msisdn) => ({ asked }) => (asked.amountTransaction ?? asked).phoneNumber === msisdn;

/** Prism's own answers: another's payment. */
async function strangers({ daemon, between }) {
  const charge = await buyUntil(daemon, newPhone(), 'in_doubt');
  // Listing it again and again proves nothing either, because the list is none of a carrier that counts.
  await until('it was looked for four times', () => between.of('retrievePayments').length >= 4);
  assert.equal((await daemon.get(`/v1/charges/${charge.reference}`)).state, 'in_doubt');
  assert.equal(between.of('createPayment').length, 1, 'it is sent once');
  return { 'in doubt': 1, 'lists that prove nothing': between.of('retrievePayments').length };
}

/** What a status of the payment means, at once and later. */
async function statuses({ daemon, between, memory }) {
  const courses = [
    { statuses: ['succeeded'], state: 'charged' },
    { statuses: ['processing', 'processing', 'succeeded'], state: 'charged' },
    { statuses: ['processing', 'denied'], state: 'rejected', reason: 'barred' },
    { statuses: ['denied'], state: 'rejected', reason: 'barred' },
    { statuses: ['cancelled'], state: 'rejected', reason: 'carrier_unavailable' },
    { statuses: ['a word of its own', 'succeeded'], state: 'charged' },
    { statuses: ['succeeded'], lose: ['createPayment'], state: 'charged' },
    { statuses: ['processing', 'denied'], lose: ['createPayment'], state: 'rejected', reason: 'barred' },
  ];
  await each(courses, async ({ state, reason, ...wish }) => {
    const msisdn = newPhone();
    memory.wish(msisdn, wish);
    const charge = await buyUntil(daemon, msisdn, state);
    assert.equal(charge.reason, reason, JSON.stringify(wish));
    assert.equal(between.of('createPayment', byPhone(msisdn)).length, 1, 'it is sent once');
  });
  return { payments: courses.length, lists: between.of('retrievePayments').length };
}

/** Every error of createPayment, or of preparePayment. */
async function refusals({ daemon, between, memory, specs }, operation) {
  const errors = errorsOf(specs.billing, operation);
  await each(errors, async ({ example, expected, prefer }) => {
    const msisdn = newPhone();
    const done = expected.done ? [operation] : [];
    const first = operation === 'createPayment' ? 'succeeded' : 'reserved';
    memory.wish(msisdn, { statuses: [first], prefer: { [operation]: [prefer] }, refusedButDone: done });
    const charge = await buyUntil(daemon, msisdn, expected.state ?? 'charged');
    assert.equal(charge.reason, expected.reason, example);
    assert.equal(between.of(operation, byPhone(msisdn)).length, expected.again ? 2 : 1, example);
  });
  return { errors: errors.length };
}

/** Reserved, perhaps validated, confirmed. */
async function twoSteps({ daemon, between, memory }) {
  const courses = [
    { statuses: ['reserved'] },
    { statuses: ['processing', 'processing', 'reserved'] },
    { statuses: ['reserved'], confirmed: ['processing', 'processing', 'succeeded'] },
    { statuses: ['reserved'], lose: ['preparePayment'] },
    { statuses: ['reserved'], lose: ['confirmPayment'] },
    { statuses: ['pending_validation'], validation: true },
    { statuses: ['pending_validation'], validation: true, lose: ['validatePayment'] },
  ];
  await each(courses, async (wish) => {
    const msisdn = newPhone();
    memory.wish(msisdn, wish);
    const reference = await buy(daemon, msisdn);
    if (wish.validation) {
      await untilState(daemon, reference, ['awaiting_otp']);
      await enter(daemon, reference, '352673');
    }
    await untilState(daemon, reference, ['charged']);
    assert.equal(between.of('preparePayment', byPhone(msisdn)).length, 1, 'it is sent once');
    assert.equal(between.of('confirmPayment', byPhone(msisdn)).length, 1, 'it is confirmed once');
  });
  return { payments: courses.length, passwords: between.of('validatePayment').length };
}

/** Every error of confirmPayment. */
async function confirming({ daemon, between, memory, specs }) {
  const errors = errorsOf(specs.billing, 'confirmPayment');
  await each(errors, async ({ example, expected, prefer }) => {
    const msisdn = newPhone();
    const done = expected.done ? ['confirmPayment'] : [];
    memory.wish(msisdn, { statuses: ['reserved'], prefer: { confirmPayment: [prefer] }, refusedButDone: done });
    const charge = await buyUntil(daemon, msisdn, expected.state ?? 'charged', 40);
    assert.equal(charge.reason, expected.reason, example);
    assert.equal(between.of('preparePayment', byPhone(msisdn)).length, 1, example);
    assert.equal(between.of('confirmPayment', byPhone(msisdn)).length, expected.again ? 2 : 1, example);
  });
  return { errors: errors.length };
}

/** Every error of validatePayment. */
async function validating({ daemon, between, memory, specs }) {
  const errors = errorsOf(specs.billing, 'validatePayment');
  await each(errors, async ({ example, expected, prefer }) => {
    const msisdn = newPhone();
    const done = expected.done ? ['validatePayment'] : [];
    const prefers = { validatePayment: [prefer] };
    memory.wish(msisdn, { statuses: ['pending_validation'], validation: true, prefer: prefers, refusedButDone: done });
    const reference = await buy(daemon, msisdn);
    await untilState(daemon, reference, ['awaiting_otp']);
    // A token that is younger than a second is not replaced when it is refused.
    await pause(1_200);
    await enter(daemon, reference, '000000');
    const ofIt = ({ operation }) => operation.parameters.paymentId === paymentOf(memory, msisdn).id;
    await until(`${example} was answered`, () => between.of('validatePayment', ofIt).some(({ status }) => status));
    if (expected.awaited) {
      await pause(500);
      await untilState(daemon, reference, ['awaiting_otp'], 0);
      await enter(daemon, reference, '352673');
    }
    const charge = await untilState(daemon, reference, [expected.state ?? 'charged']);
    assert.equal(charge.reason, expected.reason, example);
  });
  return { errors: errors.length };
}

/**
 * Reserved too late, or never agreed to: given up at the ticket deadline. Every error of cancelPayment, and one whose answer is
 * lost.
 */
async function cancelling({ daemon, between, memory, specs }) {
  const plain = { example: 'no error', expected: {} };
  const lost = { example: 'a lost answer', expected: {}, lose: ['cancelPayment'] };
  const kinds = [
    { status: 'processing', then: 'reserved', reason: 'carrier_unavailable' },
    { status: 'pending_validation', reason: 'otp_expired' },
  ];
  const courses = [plain, lost, ...errorsOf(specs.billing, 'cancelPayment')];
  const all = courses.flatMap((course) => kinds.map((kind) => ({ ...course, kind })));
  await each(all, async ({ example, expected, prefer, lose, kind }) => {
    const msisdn = newPhone();
    memory.wish(msisdn, {
      statuses: [kind.status],
      validation: kind.status === 'pending_validation',
      cancelled: expected.cancelled,
      lose,
      prefer: prefer ? { cancelPayment: [prefer] } : {},
      refusedButDone: expected.done ? ['cancelPayment'] : [],
    });
    const reserve = () => kind.then && paymentOf(memory, msisdn).moves(kind.status, kind.then);
    setTimeout(reserve, DEADLINE_SECONDS * 1_000 + 500);
    const course = `${example}, ${kind.status}`;
    const charge = await buyUntil(daemon, msisdn, expected.state ?? 'rejected', 40).catch((error) => {
      throw new Error(`${course}: ${error.message}`, { cause: error });
    });
    if (!expected.state) assert.equal(charge.reason, kind.reason, course);
    assert.equal(between.of('confirmPayment', byPhone(msisdn)).length, 0, 'nothing is confirmed too late');
    assert.equal(between.of('cancelPayment', byPhone(msisdn)).length, expected.again ? 2 : 1, course);
  });
  return { payments: all.length };
}

const DEADLINE_SECONDS = 3;

/** Total, partial, later, lost, denied; and every error of createRefund. What is not settled at once is asked for after 30 s. */
async function refunds({ daemon, between, memory, specs }) {
  const courses = [
    { refundStatuses: ['succeeded'], state: 'refunded' },
    { refundStatuses: ['processing', 'succeeded'], state: 'refunded' },
    { refundStatuses: ['processing', 'denied'], state: 'refund_owed' },
    { refundStatuses: ['denied'], state: 'refund_owed' },
    { refundStatuses: ['succeeded'], lose: ['createRefund'], state: 'refunded' },
    ...errorsOf(specs.refund, 'createRefund').map(({ example, expected, prefer }) => ({
      example,
      prefer: { createRefund: [prefer] },
      refusedButDone: expected.done ? ['createRefund'] : [],
      state: expected.state ?? 'refunded',
    })),
  ];
  await each(courses, async ({ state, ...wish }) => {
    const msisdn = newPhone();
    memory.wish(msisdn, { statuses: ['succeeded'], ...wish });
    const charge = await buyUntil(daemon, msisdn, 'charged');
    await refund(daemon, charge, 'all');
    await untilState(daemon, charge.reference, [state], 100).catch((error) => {
      throw new Error(`${JSON.stringify(wish)}: ${error.message}`, { cause: error });
    });
  });
  await partially({ daemon, memory });
  return { refunds: courses.length + 2, lists: between.of('retrieveRefunds').length };
}

async function partially({ daemon, memory }) {
  const msisdn = newPhone();
  memory.wish(msisdn, { statuses: ['succeeded'] });
  const charge = await buyUntil(daemon, msisdn, 'charged');
  await refund(daemon, charge, 'a part', 3_000);
  await until('a part went back', async () => {
    const now = await daemon.get(`/v1/charges/${charge.reference}`);
    return now.state === 'charged' && now.refunded_amount?.minor === 3_000;
  });
  await refund(daemon, charge, 'the rest');
  await untilState(daemon, charge.reference, ['refunded']);
  const payment = paymentOf(memory, msisdn);
  assert.deepEqual(payment.refunds.map(({ refund: { type } }) => type), ['partial', 'partial']);
  assert.equal(payment.remaining().amount, 0, 'all of it went back, and no more');
}

/** What Prism makes up is what the gateway says; an error says nothing. */
async function subscriberFacts({ daemon, between, memory, specs }) {
  const declined = await buyUntil(daemon, newPhone(), 'declined');
  assert.equal(declined.reason, 'recent_sim_swap', "in Prism's example the SIM was replaced");
  assert.equal(between.of('createPayment').length, 0, 'nothing is sent');
  const made = await each(Array(12).fill('dynamic=true'), async (dynamic) => {
    const msisdn = newPhone();
    memory.wish(msisdn, { prefer: { checkSimSwap: [dynamic], checkTenure: [dynamic] } });
    const known = await facts(daemon, msisdn);
    const [{ answered: swap }] = between.of('checkSimSwap', byPhone(msisdn));
    const [{ answered: tenure }] = between.of('checkTenure', byPhone(msisdn));
    const corporate = tenure.contractType === undefined ? 'unknown' : String(tenure.contractType === 'Business');
    assert.equal(known.recent_sim_swap.counted_as, String(swap.swapped));
    assert.equal(known.corporate_number.counted_as, corporate);
    return `${swap.swapped} ${tenure.contractType}`;
  });
  const questions = { checkSimSwap: [specs.simSwap, 'recent_sim_swap'], checkTenure: [specs.tenure, 'corporate_number'] };
  const errors = Object.entries(questions).flatMap(([operation, [spec, fact]]) =>
    spec.errors(operation).map((error) => ({ ...error, operation, fact })),
  );
  await each(errors, async ({ status, code, example, operation, fact }) => {
    const msisdn = newPhone();
    // Twice, because a token that is refused is got anew.
    const prefer = `code=${status}, example=${example}`;
    memory.wish(msisdn, { prefer: { [operation]: [prefer, prefer] } });
    const known = await facts(daemon, msisdn);
    assert.equal(known[fact].counted_as, 'unknown', `${operation} ${example}`);
    const cannotSay = ['NOT_FOUND', 'IDENTIFIER_NOT_FOUND', 'SERVICE_NOT_APPLICABLE'].includes(code);
    assert.deepEqual(known[fact].silent.map(({ why }) => why), [cannotSay ? 'cannot_say' : 'failed'], `${operation} ${example}`);
  });
  return { numbers: made.length, 'different answers': new Set(made).size, errors: errors.length };
}

/** `retrieve-date`, with each of the file's examples. */
async function simSwapDates({ daemon, between, memory }) {
  const examples = ['RETRIEVE_DATE', 'RETRIEVE_MONITORED_PERIOD', 'RETRIEVE_MONITORED_NULL'];
  await each(examples, async (example) => {
    const msisdn = newPhone();
    memory.wish(msisdn, { prefer: { retrieveSimSwapDate: [`example=${example}`] } });
    const known = await facts(daemon, msisdn);
    const [{ answered }] = between.of('retrieveSimSwapDate', byPhone(msisdn));
    // The date of the example is years ago. No date says no, if it is told for how long one would be known.
    const { latestSimChange: date, monitoredPeriod: days } = answered;
    assert.ok(date === null || Date.parse(date) < Date.now() - 86_400_000);
    assert.equal(known.recent_sim_swap.counted_as, date || days ? 'false' : 'unknown', example);
  });
  return { dates: examples.length };
}

function paymentOf(memory, msisdn) {
  return [...memory.payments.values()].find(({ transaction }) => transaction.phoneNumber === msisdn);
}

const DATE_SOURCE = ({ url }) => `
[facts.sources.dates]
carrier = "kcell"
sim_swap = "retrieve_date"
[facts.sources.dates.camara]
sim_swap_url = "${url}/sim-swap/v2"
token = { url = "${url}/oauth2/token", client_id = "smsbus", client_secret_file = "password" }
`;

exports.scenarios = [
  { name: "Prism's own answers", act: strangers },
  { name: 'one step: what a status means', act: statuses },
  { name: 'one step: every error', act: (world) => refusals(world, 'createPayment') },
  { name: 'two steps', config: TWO_STEP, act: twoSteps },
  { name: 'two steps: every error of prepare', config: TWO_STEP, act: (world) => refusals(world, 'preparePayment') },
  { name: 'two steps: every error of confirm', config: TWO_STEP, act: confirming },
  { name: 'two steps: every error of validate', config: TWO_STEP, act: validating },
  {
    name: 'two steps: cancel, and every error of it',
    config: () => `${TWO_STEP()}gateway.ticket_deadline_seconds = ${DEADLINE_SECONDS}\n`,
    act: cancelling,
  },
  { name: 'refunds, and every error', act: refunds },
  { name: 'SIM swap and tenure, and every error', facts: true, act: subscriberFacts },
  { name: 'SIM swap by its date', config: DATE_SOURCE, act: simSwapDates },
];
