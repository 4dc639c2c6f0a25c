'use strict';
// The scenarios, one daemon and one database for each. What must hold is asserted; the table at the end says what
// happened.

const assert = require('node:assert/strict');
const path = require('node:path');
const { Daemon, until, writeOverlay } = require('./daemon');
const { Smsc } = require('./smsc');

const { SMSBUSD, SCRATCH, TOKEN } = process.env;
const [SMPP_PORT, API_PORT] = [process.env.SMPP_PORT, process.env.API_PORT].map(Number);
const RIDERS = 12;
const FARE = 8000;
const VEHICLE = '1234';
const RUN_SECONDS_MAX = 180;

const DECIMAL = { response: 'decimal', receipt: 'decimal' };
const HEX_THEN_DECIMAL = { response: 'hex', receipt: 'decimal' };

const SCENARIOS = [
  ['charged at submission, ids decimal', { chargedAt: 'submission', ids: DECIMAL }, ordinaryMorning],
  ['charged at submission, ids hex then decimal', { chargedAt: 'submission', ids: HEX_THEN_DECIMAL }, ordinaryMorning],
  ['charged at delivery, ids decimal', { chargedAt: 'delivery', ids: DECIMAL }, ordinaryMorning],
  ['charged at delivery, ids hex then decimal', { chargedAt: 'delivery', ids: HEX_THEN_DECIMAL }, ordinaryMorning],
  ['a lost response is settled by the receipt', { chargedAt: 'delivery', ids: HEX_THEN_DECIMAL }, lostResponses],
  ['kill -9 while requests are unanswered', { chargedAt: 'delivery', ids: HEX_THEN_DECIMAL }, killed],
];

/** Passengers buy, pay for a friend as well, ask for their ticket again; one has no money and one phone is off. */
async function ordinaryMorning({ smsc, daemon }) {
  const [poor, off] = [phone(90), phone(91)];
  smsc.poor.add(poor);
  smsc.unreachable.add(off);
  const riders = phones(RIDERS);
  await Promise.all([...riders, poor].map((rider) => smsc.mo(rider, VEHICLE)));
  for (const rider of riders) await ticketOf(smsc, rider);

  await smsc.mo(riders[0], `${VEHICLE}*2`); // two in total: one more is charged
  await until('the friend has a ticket', () => smsc.texts(riders[0]).length === 2);
  await smsc.mo(riders[1], 'БИЛЕТ'); // UCS-2; the same ticket again, and no charge
  const again = await until('the ticket came again', () => smsc.texts(riders[1])[1]);
  assert.equal(shortCode(again.text), shortCode(smsc.texts(riders[1])[0].text));

  const [refusal] = await until('a refusal', () => smsc.texts(poor).length && smsc.texts(poor));
  assert.match(refusal.text, /не списаны/);
  if (smsc.chargedAt === 'delivery') {
    await smsc.mo(off, VEHICLE);
    await until('the phone that is off is not charged', async () => (await states(daemon, off))[0] === 'rejected');
  }
  const notTaken = smsc.chargedAt === 'delivery' ? 2 : 1;
  return { charged: RIDERS + 1, notTaken };
}

/** The carrier takes the money, and its answer never comes: silence from some, a cut connection for others. */
async function lostResponses({ smsc, daemon }) {
  smsc.holdReceipts = true;
  const riders = phones(RIDERS);
  const cutOff = riders[RIDERS - 1];
  smsc.answer = ({ msisdn }) => (msisdn === cutOff ? 'hang_up' : 'keep_silent');
  for (const rider of riders) await smsc.mo(rider, VEHICLE);
  for (const rider of riders) {
    await until('the charge is in doubt', async () => (await states(daemon, rider))[0] === 'in_doubt');
    assert.equal(smsc.texts(rider).length, 0, 'nobody gets a ticket on a doubt');
  }
  assert.equal(smsc.submissions.length, RIDERS, 'what is in doubt is not sent again');
  smsc.answer = () => 'answer';
  await smsc.releaseReceipts();
  for (const rider of riders) await ticketOf(smsc, rider);
  assert.ok(smsc.binds >= 2, 'the daemon has bound again after the cut');
  assert.ok(smsc.seen.enquire_link >= 1, 'silence makes it ask whether the SMSC is there');
  return { charged: RIDERS, notTaken: 0 };
}

/** The process is killed with every request unanswered, and a new one takes over its database. */
async function killed({ smsc, daemon }) {
  smsc.holdReceipts = true;
  smsc.answer = () => 'keep_silent';
  const riders = phones(RIDERS);
  const off = riders.slice(0, 3);
  for (const rider of off) smsc.unreachable.add(rider);
  const allSubmitted = until('all are submitted', () => smsc.submissions.length === RIDERS);
  await Promise.all(riders.map((rider) => smsc.mo(rider, VEHICLE)));
  await allSubmitted;
  await daemon.kill();

  smsc.answer = () => 'answer';
  await daemon.start();
  await until('the link is up again', () => smsc.session);
  for (const rider of riders) assert.deepEqual(await states(daemon, rider), ['in_doubt']);
  await smsc.releaseReceipts();
  for (const rider of riders.slice(off.length)) await ticketOf(smsc, rider);
  for (const rider of off) {
    await until('its receipt says no', async () => (await states(daemon, rider))[0] === 'rejected');
  }
  assert.equal(smsc.submissions.length, RIDERS, 'nothing was sent a second time');
  return { charged: RIDERS - off.length, notTaken: off.length };
}

async function ticketOf(smsc, rider) {
  const [ticket] = await until(`${rider} has a ticket`, () => smsc.texts(rider).length && smsc.texts(rider));
  assert.equal(ticket.dataCoding, 8, 'a Russian ticket travels in UCS-2');
  assert.ok(ticket.text.length <= 70, 'a ticket is one SMS');
  assert.match(ticket.text, /^Билет [0-9A-HJKMNP-TV-Z]{4}.?[0-9A-HJKMNP-TV-Z]{4}\nАвтобус 92, борт 1234\n/);
  return ticket;
}

const shortCode = (text) => text.split('\n')[0];
const phone = (n) => `7705100${String(n).padStart(4, '0')}`;
const phones = (count) => Array.from({ length: count }, (_, n) => phone(n));
const states = async (daemon, rider) => (await daemon.charges(rider)).map((charge) => charge.state);

/** The carrier's books, the API and the daemon's own double entry say the same, and nothing is left over. */
async function audit({ smsc, daemon, expected }) {
  const charges = await until('nothing is open', async () => {
    const all = await daemon.charges();
    return all.every(({ state }) => ['charged', 'rejected'].includes(state)) && all;
  });
  const ours = Object.fromEntries(
    charges.filter(({ state }) => state === 'charged').map((c) => [c.reference.replaceAll('-', ''), c.amount.minor]),
  );
  const theirs = Object.fromEntries(smsc.ledger.map((entry) => [entry.reference, entry.minor]));
  assert.equal(Object.keys(theirs).length, smsc.ledger.length, 'no reference was charged twice');
  assert.deepEqual(ours, theirs, 'the two ledgers are equal');
  assert.equal(smsc.ledger.length, expected.charged);
  assert.equal(charges.length - expected.charged, expected.notTaken);

  const taken = smsc.ledger.reduce((sum, entry) => sum + entry.minor, 0);
  assert.equal(taken, expected.charged * FARE);
  const balance = (account) =>
    daemon.rows(`SELECT coalesce(sum(minor), 0) AS minor FROM ledger WHERE account = '${account}'`)[0].minor;
  assert.equal(balance('carrier_receivable:beeline'), taken);
  assert.equal(balance('fare_revenue:almaty-1'), -taken);
  assert.equal(balance('in_doubt_suspense'), 0);
  const unbalanced = daemon.rows('SELECT hex(reference), version FROM ledger GROUP BY 1, 2 HAVING sum(minor) <> 0');
  assert.deepEqual(unbalanced, []);

  // Every receipt has found its owner: of charges by now, of texts in a moment.
  const texts = [...smsc.inbox.values()].flat().length;
  await until('all texts are delivered', () => {
    const delivered = daemon.rows("SELECT count(*) AS n FROM messages WHERE state = 'delivered'")[0].n;
    return delivered === texts && smsc.undelivered.length === 0;
  });
  assert.deepEqual(daemon.rows('SELECT id FROM parked'), [], 'no receipt stays without an owner');
  assert.deepEqual(daemon.rows('SELECT kind FROM breaks'), []);
  assert.deepEqual(smsc.faults, [], 'the SMSC saw nothing that it could not read');
  return { charged: expected.charged, 'not taken': expected.notTaken, tenge: taken / 100, texts };
}

async function play(number, carrier, scenario) {
  const database = path.join(SCRATCH, `${number}.db`);
  const overlay = writeOverlay(
    SCRATCH,
    `${number}.toml`,
    `store.url = "sqlite://${database}"
carriers.beeline.smpp.charged_at = "${carrier.chargedAt}"
carriers.beeline.smpp.message_id = { response = "${carrier.ids.response}", receipt_text = "${carrier.ids.receipt}" }
carriers.beeline.smpp.response_timeout_ms = 1000
carriers.beeline.smpp.enquire_after_ms = 300
`,
  );
  const files = [path.join(SCRATCH, 'smsbusd.toml'), overlay];
  const api = `http://127.0.0.1:${API_PORT}`;
  const log = path.join(SCRATCH, `${number}.log`);
  const daemon = new Daemon({ program: SMSBUSD, files, api, token: TOKEN, database, log });
  const smsc = new Smsc(carrier);
  await smsc.listen(SMPP_PORT);
  try {
    await daemon.start();
    await until('the daemon has bound', () => smsc.session);
    const expected = await scenario({ smsc, daemon });
    const row = await audit({ smsc, daemon, expected });
    assert.equal(await daemon.stop(), 0, 'SIGTERM ends it with status 0');
    assert.ok(smsc.seen.unbind >= 1, 'it unbinds before it goes');
    return { ...row, 'submit_sm': smsc.seen.submit_sm, binds: smsc.binds };
  } catch (error) {
    error.message += `\n--- faults that the SMSC saw: ${JSON.stringify(smsc.faults)}`;
    error.message += `\n--- the daemon's last lines:\n${daemon.lastLines()}`;
    throw error;
  } finally {
    await daemon.kill();
    await smsc.close();
  }
}

async function main() {
  const table = {};
  let failed = 0;
  for (const [n, [name, carrier, scenario]] of SCENARIOS.entries()) {
    const began = Date.now();
    try {
      table[name] = { result: 'ok', ...(await play(n + 1, carrier, scenario)), seconds: (Date.now() - began) / 1000 };
    } catch (error) {
      failed += 1;
      table[name] = { result: 'FAILED' };
      console.error(`\n${name}: ${error.stack}\n`);
    }
  }
  console.table(table);
  const submitted = Object.values(table).reduce((sum, row) => sum + (row.submit_sm ?? 0), 0);
  console.log(`${submitted} submit_sm in all`);
  const passed = `${SCENARIOS.length - failed} of ${SCENARIOS.length} scenarios passed`;
  console.log(`${passed}: smpp ${version('smpp')}, Node ${process.version}`);
  return failed === 0 ? 0 : 1;
}

function version(name) {
  return require(`${name}/package.json`).version;
}

setTimeout(() => {
  console.error(`FAILED: not done after ${RUN_SECONDS_MAX} s`);
  process.exit(1);
}, RUN_SECONDS_MAX * 1000).unref();
main().then((status) => process.exit(status));
