'use strict';
// The audit that ends every scenario: the daemon's books beside the carrier's, charge by charge.

const assert = require('node:assert/strict');
const { until } = require('./daemon');
const { FARE } = require('./passengers');

const SETTLED = ['charged', 'rejected'];

/**
 * Waits until all charges but `inDoubt` are settled, then compares. `theirs()`: what the carrier took, as a list of
 * { reference, minor }, the reference in hex without dashes. `expected`: { charged, notTaken, inDoubt }, numbers.
 * A charge that is in doubt must not be in the carrier's books: had it been taken, a receipt would have settled it.
 * Returns the charges.
 */
async function compare({ daemon, theirs, expected: { charged, notTaken, inDoubt = 0 } }) {
  const count = (charges, ...states) => charges.filter(({ state }) => states.includes(state)).length;
  let charges = [];
  const settled = async () => {
    charges = await daemon.charges();
    return count(charges, ...SETTLED) === charges.length - inDoubt && count(charges, 'in_doubt') === inDoubt;
  };
  await until('nothing is open', settled, 40).catch((error) => {
    const states = charges.map(({ reference, msisdn, state }) => `${reference} ${msisdn} ${state}`);
    throw new Error(`${error.message}: ${states.filter((line) => !line.endsWith(' charged')).join('; ')}`);
  });

  const taken = await theirs();
  const ours = charges.filter(({ state }) => state === 'charged');
  const byReference = (entries) => Object.fromEntries(entries.map(({ reference, minor }) => [reference, minor]));
  const entry = ({ reference, amount }) => ({ reference: reference.replaceAll('-', ''), minor: amount.minor });
  assert.equal(new Set(taken.map(({ reference }) => reference)).size, taken.length, 'no reference was charged twice');
  assert.deepEqual(
    byReference(ours.map(entry)),
    byReference(taken),
    'the two ledgers are equal',
  );
  assert.equal(ours.length, charged, 'as many are charged as should be');
  assert.equal(count(charges, 'rejected'), notTaken, 'as many are not taken as should be');
  checkPostings(daemon, { taken: charged * FARE, inDoubt: inDoubt * FARE });
  return charges;
}

/** The daemon's double entry, read by SQLite's own shell. */
function checkPostings(daemon, { taken, inDoubt }) {
  const balance = (account) =>
    daemon.rows(`SELECT coalesce(sum(minor), 0) AS minor FROM ledger WHERE account = '${account}'`)[0].minor;
  // What is in doubt stands in both: owed by the carrier, and not sold yet.
  assert.equal(balance('carrier_receivable:beeline'), taken + inDoubt, 'what the carrier owes');
  assert.equal(balance('fare_revenue:almaty-1') + taken, 0);
  assert.equal(balance('in_doubt_suspense') + inDoubt, 0, 'what is in doubt is not sold');
  const unbalanced = daemon.rows('SELECT hex(reference), version FROM ledger GROUP BY 1, 2 HAVING sum(minor) <> 0');
  assert.deepEqual(unbalanced, []);
}

/** Nothing is left over: every text has its receipt, every receipt its owner, nobody needs to look at anything. */
async function nothingIsLeft(daemon) {
  const open = () => daemon.rows("SELECT state, count(*) AS n FROM messages WHERE state <> 'delivered' GROUP BY 1");
  await until('all texts are delivered', () => open().length === 0).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(open())}`);
  });
  assert.deepEqual(daemon.rows('SELECT id, body FROM parked'), [], 'no receipt stays without an owner');
  assert.deepEqual(daemon.rows('SELECT kind, hex(reference) FROM breaks'), []);
}

/** What nobody's message will ever settle, an operator does, who knows from the carrier that nothing was taken. */
async function resolveDoubts(daemon) {
  const doubts = (await daemon.charges()).filter(({ state }) => state === 'in_doubt');
  for (const { reference } of doubts) daemon.resolve(reference, 'not-charged', 'not in the books of the carrier');
}

module.exports = { compare, nothingIsLeft, resolveDoubts };
