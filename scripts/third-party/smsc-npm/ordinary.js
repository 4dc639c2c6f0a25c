'use strict';
// What happens every day, and the answer that is lost.

const assert = require('node:assert/strict');
const { until } = require('../daemon');
const { VEHICLE, phone, phones, shortCode } = require('../passengers');
const { ticketOf, states } = require('./watching');

const RIDERS = 12;
const DECIMAL = { response: 'decimal', receipt: 'decimal' };
const HEX_FIRST = { response: 'hex', receipt: 'decimal' };

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

const atSubmission = (ids) => ({ chargedAt: 'submission', ids });
const atDelivery = (ids) => ({ chargedAt: 'delivery', ids });

module.exports = {
  ordinaryMorning,
  scenarios: [
    { name: 'charged at submission, ids decimal', carrier: atSubmission(DECIMAL), act: ordinaryMorning },
    { name: 'charged at submission, ids hex then decimal', carrier: atSubmission(HEX_FIRST), act: ordinaryMorning },
    { name: 'charged at delivery, ids decimal', carrier: atDelivery(DECIMAL), act: ordinaryMorning },
    { name: 'charged at delivery, ids hex then decimal', carrier: atDelivery(HEX_FIRST), act: ordinaryMorning },
    { name: 'a lost response is settled by the receipt', carrier: atDelivery(HEX_FIRST), act: lostResponses },
    { name: 'kill -9 while requests are unanswered', carrier: atDelivery(HEX_FIRST), act: killed },
  ],
};
