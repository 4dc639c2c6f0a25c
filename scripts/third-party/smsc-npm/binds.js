'use strict';
// Several binds at once, and messages in parts. A build that does not know these keys skips what needs them.

const assert = require('node:assert/strict');
const { until } = require('../daemon');
const { VEHICLE, phones } = require('../passengers');
const { ordinaryMorning } = require('./ordinary');
const { ticketOf } = require('./watching');

const CARRIER = { chargedAt: 'delivery', ids: { response: 'hex', receipt: 'decimal' } };
const bindsOf = (...modes) => {
  const tables = modes.map((mode, n) => `{ name = "${n}", mode = "${mode}", window = 5, tps = 50 }`);
  return `carriers.beeline.smpp.binds = [${tables.join(', ')}]\n`;
};

/** The ordinary morning over two binds. Receipts come on the bind that did not submit. */
async function twoBinds(world) {
  const { smsc } = world;
  await until('both binds are up', () => smsc.sessions.length === 2);
  const expected = await ordinaryMorning(world);
  assert.ok(smsc.receiptsElsewhere > 0, 'receipts come on the other bind');
  return expected;
}

/** One of two binds is reset again and again while passengers buy; the other carries on. */
async function oneBindFalls(world) {
  const { smsc } = world;
  await until('both binds are up', () => smsc.sessions.length === 2);
  const riders = phones(40);
  for (const [n, rider] of riders.entries()) {
    if (n % 10 === 5) smsc.sessions[0]?.socket.resetAndDestroy();
    await smsc.mo(rider, VEHICLE);
  }
  for (const rider of riders) await ticketOf(smsc, rider);
  assert.ok(smsc.binds >= 5, 'it has bound again');
  return { charged: riders.length, notTaken: 0 };
}

/** A word in two parts, out of order and one of them twice; and a text for the passenger that needs two SMS. */
async function inParts({ smsc }) {
  const [rider, lost] = phones(2);
  const [first, last] = [[1, VEHICLE.slice(0, 2)], [2, VEHICLE.slice(2)]];
  await smsc.moInParts(rider, 2, [last, first, last]);
  await ticketOf(smsc, rider);
  await smsc.mo(lost, 'Где мой автобус?'); // no code: what to do instead takes more than 70 characters
  const [advice] = await until('the advice', () => smsc.texts(lost).length && smsc.texts(lost));
  assert.match(advice.text, /^Код не распознан.*ПОМОЩЬ$/);
  assert.ok(advice.text.length > 70, 'it does not fit one SMS');
  assert.equal(advice.form, 'udh', 'it travels in parts, each with a header');
  return { charged: 1, notTaken: 0 };
}

const TWO = bindsOf('transceiver', 'transceiver');
const APART = bindsOf('transmitter', 'receiver');
const UDH = 'carriers.beeline.smpp.long_messages = "udh"\n';
module.exports = {
  scenarios: [
    { name: 'a transmitter and a receiver', carrier: CARRIER, config: APART, needs: 'binds', act: twoBinds },
    { name: 'two transceivers, receipts on the other', carrier: CARRIER, config: TWO, needs: 'binds', act: twoBinds },
    { name: 'one of two binds is reset repeatedly', carrier: CARRIER, config: TWO, needs: 'binds', act: oneBindFalls },
    { name: 'a message in parts, in and out', carrier: CARRIER, config: UDH, needs: 'long_messages', act: inParts },
  ],
};
