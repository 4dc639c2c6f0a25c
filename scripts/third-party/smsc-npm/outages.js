'use strict';
// An SMSC on a bad day: it refuses binds, keeps silent, drops the link, throttles, unbinds; each time under load.

const assert = require('node:assert/strict');
const smpp = require('smpp');
const { until } = require('../daemon');
const { VEHICLE, phones } = require('../passengers');
const { ticketOf, states } = require('./watching');

const RIDERS = 150;
const WINDOW = 8;
const STORM_MS = 4_000;
const CARRIER = { chargedAt: 'delivery', ids: { response: 'hex', receipt: 'decimal' } };
const CONFIG = `carriers.beeline.smpp.window = ${WINDOW}
carriers.beeline.smpp.tps = 200
`;

/** Wrong password, then "already bound", then welcome. What is bought meanwhile is taken later, or not. */
async function bindsRefused({ smsc, daemon }) {
  smsc.bindAnswers = [smpp.ESME_RINVPASWD, smpp.ESME_RALYBND];
  await daemon.start();
  const early = await daemon.buy('early', phones(1)[0], VEHICLE);
  assert.ok(early.status < 500, `a purchase without a link is answered: ${JSON.stringify(early)}`);
  await until('the daemon has bound', () => smsc.session);
  assert.equal(smsc.bindTries.length, 3, 'two refusals, and then it is let in');
  const pause = smsc.bindTries[2] - smsc.bindTries[1];
  assert.ok(pause >= 1_500, `it waits out the old bind, not ${pause} ms`);
  const riders = phones(RIDERS).slice(1);
  await Promise.all(riders.map((rider) => smsc.mo(rider, VEHICLE)));
  for (const rider of riders) await ticketOf(smsc, rider);
  await until('the early purchase is settled', async () => {
    const [state] = await states(daemon, phones(1)[0]);
    return ['charged', 'rejected', undefined].includes(state);
  });
  const charged = smsc.ledger.length;
  return { charged, notTaken: (await daemon.charges()).length - charged };
}

/** A connection, and no word: the daemon gives up after its 10 s, and tries again. */
async function bindUnanswered({ smsc, daemon }) {
  smsc.bindAnswers = ['keep_silent'];
  await daemon.start();
  await until('the daemon has bound at the second try', () => smsc.session, 25);
  assert.equal(smsc.bindTries.length, 2);
  const riders = phones(RIDERS);
  await Promise.all(riders.map((rider) => smsc.mo(rider, VEHICLE)));
  for (const rider of riders) await ticketOf(smsc, rider);
  return { charged: RIDERS, notTaken: 0 };
}

/**
 * Fills the window and leaves it unanswered: of every second request the money was taken, the others got lost. `cut`
 * ends the link. Everybody else buys on the next one; receipts settle what was taken, and nothing settles the rest.
 */
async function windowLost({ smsc, daemon }, cut) {
  smsc.holdReceipts = true;
  const lost = [];
  smsc.answer = ({ msisdn }) => {
    if (smsc.held.length + lost.length >= WINDOW) return 'keep_silent';
    const answer = (smsc.held.length + lost.length) % 2 === 0 ? 'hold' : 'lose';
    if (answer === 'lose') lost.push(msisdn);
    return answer;
  };
  const riders = phones(RIDERS);
  const messages = Promise.all(riders.map((rider) => smsc.mo(rider, VEHICLE)));
  await until('the window is full', () => smsc.submissions.length === WINDOW);
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(smsc.submissions.length, WINDOW, 'no request goes out beyond the window');

  smsc.answer = () => 'answer';
  const binds = smsc.binds;
  await cut(lost);
  await until('the daemon has bound again', () => smsc.binds > binds && smsc.session);
  await messages;
  await smsc.releaseReceipts();
  for (const rider of riders.filter((rider) => !lost.includes(rider))) await ticketOf(smsc, rider);
  for (const rider of lost) {
    assert.deepEqual(await states(daemon, rider), ['in_doubt'], 'nobody knows what came of it');
    assert.equal(smsc.texts(rider).length, 0, 'nobody gets a ticket on a doubt');
  }
  return { charged: RIDERS - lost.length, notTaken: 0, inDoubt: lost.length };
}

const linkReset = (world) => windowLost(world, () => world.smsc.resetLinks());

/** The SMSC unbinds, and only then answers half of what it has taken: the daemon hears it out before it lets go. */
const unbound = (world) =>
  windowLost(world, async () => {
    const { smsc, daemon } = world;
    const [session] = smsc.sessions;
    const [answered, unanswered] = [smsc.held.slice(0, 2), smsc.held.slice(2)];
    const farewell = smsc.unbindAll();
    smsc.answerHeld(answered.length);
    await farewell;
    await until('the old link is gone', () => !smsc.sessions.includes(session));
    const everyone = async (held, state) => {
      for (const { msisdn } of held) if ((await states(daemon, msisdn))[0] !== state) return false;
      return true;
    };
    await until('what was never answered is in doubt', () => everyone(unanswered, 'in_doubt'));
    assert.ok(await everyone(answered, 'processing'), 'what was answered after the unbind was heard');
  });

/** For four seconds the SMSC takes nothing, neither charges nor texts; from one phone it takes nothing for longer. */
async function throttled({ smsc }) {
  const riders = phones(RIDERS);
  const [unlucky] = riders;
  const began = Date.now();
  const since = () => Date.now() - began;
  smsc.refuse = ({ destination_addr }) => {
    const status = smsc.refusals.length % 2 ? smpp.ESME_RTHROTTLED : smpp.ESME_RMSGQFUL;
    if (since() < STORM_MS || (destination_addr === unlucky && since() < 2 * STORM_MS)) return status;
    return undefined;
  };
  await Promise.all(riders.map((rider) => smsc.mo(rider, VEHICLE)));
  for (const rider of riders) await ticketOf(smsc, rider, 50);
  const overtaken = smsc.submissions.findIndex(({ msisdn }) => msisdn === unlucky);
  assert.ok(overtaken >= RIDERS / 2, `one throttled phone holds the others: ${overtaken} came before it`);
  const storm = smsc.refusals.filter(({ at }) => at < began + STORM_MS).length;
  assert.ok(storm >= 2, 'both statuses were met');
  const offered = (STORM_MS / 1000) * 200;
  assert.ok(storm < offered / 2, `${storm} requests into the storm: it does not slow down`);
  return { charged: RIDERS, notTaken: 0 };
}

const bad = { carrier: CARRIER, config: CONFIG };
module.exports = {
  scenarios: [
    {
      ...bad,
      name: 'binds refused: 0x0E, 0x05, then accepted',
      config: `${CONFIG}carriers.beeline.smpp.already_bound_wait_ms = 1500\n`,
      starts: true,
      act: bindsRefused,
    },
    { ...bad, name: 'a bind that is never answered', starts: true, act: bindUnanswered },
    { ...bad, name: 'the link is reset in a full window', act: linkReset },
    { ...bad, name: 'the SMSC unbinds in a full window', act: unbound },
    { ...bad, name: 'a storm of 0x58 and 0x14, then calm', act: throttled },
  ],
};
