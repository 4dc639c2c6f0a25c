'use strict';
// The scenarios: one Jasmin and one carrier behind it for all, one daemon and one database for each, and phones of its
// own for each, so that the carrier's books can be told apart.

const assert = require('node:assert/strict');
const path = require('node:path');
const { compare, nothingIsLeft, resolveDoubts } = require('../books');
const { Daemon, until, writeOverlay } = require('../daemon');
const { VEHICLE, phones, shortCode, checkTicket } = require('../passengers');
const { run } = require('../runner');
const { Carrier } = require('./carrier');
const { Jasmin, USER } = require('./jasmin');

const { SMSBUSD, SCRATCH, TOKEN, API_PORT, JASMIN_PYTHON, CONTROL } = process.env;
const RUN_SECONDS_MAX = 300;
const RIDERS = 12;
const WINDOW = 8;
const NAMES = ['smpp', 'console', 'serverPb', 'clientPb', 'routerPb', 'amqp', 'redis', 'carrier'];
const PORTS = Object.fromEntries(process.env.PORTS.split(' ').map((port, n) => [NAMES[n], Number(port)]));

const APART = `carriers.beeline.smpp.binds = [
    { name = "out", mode = "transmitter", window = 5, tps = 50 },
    { name = "in", mode = "receiver", window = 5, tps = 50 },
]
`;
const SCENARIOS = [
  { name: 'binds refused: 0x0E, 0x0D, then accepted', starts: true, act: bindsRefused },
  { name: 'a quota of two a second, then none', act: throttled },
  { name: 'frozen with a full window, then answering late', act: lateAnswers },
  { name: 'Jasmin killed with a full window', act: jasminKilled },
  { name: 'the daemon killed with a full window', act: daemonKilled },
  { name: 'Jasmin unbinds in a full window', act: unbound },
  { name: 'a transmitter and a receiver', config: APART, needs: 'binds', act: ordinaryMorning },
];

/** Passengers buy, one for a friend as well, one asks for the ticket again, one has no money. */
async function ordinaryMorning({ carrier, riders }) {
  const [poor, ...others] = riders;
  await carrier.impoverish(poor);
  await Promise.all(riders.map((rider) => carrier.mo(rider, VEHICLE)));
  for (const rider of others) await ticketOf(carrier, rider);
  await carrier.mo(others[0], `${VEHICLE}*2`); // two in total: one more is charged
  await until('the friend has a ticket', async () => (await carrier.texts(others[0])).length === 2);
  await carrier.mo(others[1], 'БИЛЕТ'); // UCS-2; the same ticket again, and no charge
  const both = await until('the ticket came again', async () => {
    const texts = await carrier.texts(others[1]);
    return texts.length === 2 && texts;
  });
  assert.equal(shortCode(both[1]), shortCode(both[0]));
  const [refusal] = await until('a refusal', async () => {
    const texts = await carrier.texts(poor);
    return texts.length > 0 && texts;
  });
  assert.match(refusal, /не списаны/);
  return { charged: others.length + 1, notTaken: 1 };
}

/** The password is wrong, then there are too many binds, then all is well. */
async function bindsRefused(world) {
  const { jasmin, daemon } = world;
  await jasmin.updateUser('password other');
  await daemon.start();
  await until('a wrong password was refused', () => jasmin.logged(/Bind request failed for username/g) > 0);
  await jasmin.updateUser('password secret', 'smpps_cred quota max_bindings 0');
  await until('a bind too many was refused', () => jasmin.logged(/max_bindings limit reached/g) > 0);
  await jasmin.updateUser('smpps_cred quota max_bindings 2');
  await bound(daemon);
  return ordinaryMorning(world);
}

/** Jasmin answers 0x58 to what comes faster than its quota, charges and texts alike. */
async function throttled({ jasmin, carrier, riders }) {
  const refusals = async () => {
    const [stats] = await jasmin.jcli([`stats --user=${USER}`]);
    return Number(/throttling_error_count\s+SMPP Server\s+(\d+)/.exec(stats)?.[1] ?? NaN);
  };
  const before = await refusals();
  await jasmin.updateUser('mt_messaging_cred quota smpps_throughput 2');
  await Promise.all(riders.map((rider) => carrier.mo(rider, VEHICLE)));
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  const during = (await refusals()) - before;
  await jasmin.updateUser('mt_messaging_cred quota smpps_throughput None');
  for (const rider of riders) await ticketOf(carrier, rider, 50);
  assert.ok(during >= 1, 'nothing was refused'); // how often is up to how well the daemon slows down
  return { charged: riders.length, notTaken: 0, refusals: during };
}

/** Longer than the daemon waits: all in doubt. Then Jasmin reads what it was sent, and its late answers settle it. */
async function lateAnswers({ jasmin, daemon, riders }) {
  const waiting = riders.slice(0, WINDOW);
  const binds = jasmin.logged(/Added .* bind for/g);
  jasmin.freeze();
  await buy(daemon, waiting);
  await until('all are in doubt', async () => (await states(daemon)).in_doubt === WINDOW);
  jasmin.thaw();
  await until('all are charged', async () => (await states(daemon)).charged === WINDOW);
  assert.equal(jasmin.logged(/Added .* bind for/g), binds, 'it needs no new link');
  return { charged: WINDOW, notTaken: 0 };
}

/**
 * Six requests are answered and wait in Jasmin's queue; eight more it has never read when it is killed. Started again,
 * it sends on what is in its queue. The eight stay in doubt: no answer and no receipt will ever come.
 */
async function jasminKilled({ jasmin, daemon, carrier, riders }) {
  const [queued, unread, later] = [riders.slice(0, 6), riders.slice(6, 6 + WINDOW), riders.slice(6 + WINDOW)];
  await jasmin.stopConnector();
  await buy(daemon, queued);
  await until('they are answered', () => attempts(daemon, 'accepted') === queued.length);
  jasmin.freeze();
  await buy(daemon, unread);
  await until('the window is full', () => attempts(daemon, 'open') === WINDOW);
  await jasmin.kill();
  await until('what was not answered is in doubt', async () => (await states(daemon)).in_doubt === WINDOW);
  assert.equal((await states(daemon)).processing, queued.length, 'what was answered is not');
  await jasmin.start();
  await jasmin.setUp();
  await until('what was queued is charged', async () => (await states(daemon)).charged === queued.length, 40);
  await bound(daemon);
  await Promise.all(later.map((rider) => carrier.mo(rider, VEHICLE)));
  for (const rider of later) await ticketOf(carrier, rider, 40);
  return { charged: queued.length + later.length, notTaken: 0, inDoubt: WINDOW };
}

/** Jasmin takes what the dead daemon has sent. The new one gets receipts for ids that nobody ever told it. */
async function daemonKilled({ jasmin, daemon, carrier, riders }) {
  const waiting = riders.slice(0, WINDOW);
  const poor = waiting.slice(0, 2);
  for (const rider of poor) await carrier.impoverish(rider);
  jasmin.freeze();
  await buy(daemon, waiting);
  await until('the window is full', () => attempts(daemon, 'open') === WINDOW);
  await daemon.kill();
  jasmin.thaw();
  await until('the carrier has taken it', async () => (await carrier.taken(riders)).length === WINDOW - poor.length);
  await daemon.start();
  await bound(daemon);
  await until('receipts settle all', async () => (await states(daemon)).in_doubt === undefined);
  return { charged: WINDOW - poor.length, notTaken: poor.length };
}

/** While it unbinds it reads no more requests, but passes on the receipts of what it has; then everybody buys again. */
async function unbound({ jasmin, daemon, carrier, riders }) {
  const [waiting, later] = [riders.slice(0, WINDOW), riders.slice(WINDOW)];
  const unbinding = await jasmin.freezeBefore(`user --smpp-unbind ${USER}`);
  await buy(daemon, waiting);
  await until('the window is full', () => attempts(daemon, 'open') === WINDOW);
  const dropped = jasmin.logged(/Dropped .* bind for/g);
  jasmin.thaw();
  await unbinding.answered();
  await until('the link is gone', () => jasmin.logged(/Dropped .* bind for/g) > dropped);
  await bound(daemon);
  await Promise.all(later.map((rider) => carrier.mo(rider, VEHICLE)));
  for (const rider of later) await ticketOf(carrier, rider, 40);
  // Whether it read the window before the command is chance. Both books must say the same either way.
  const taken = await until('the carrier has all that it ever gets', async () => {
    const { in_doubt = 0, processing = 0 } = await states(daemon);
    const { length } = await carrier.taken(riders);
    return processing === 0 && length + in_doubt === riders.length && length;
  });
  return { charged: taken, notTaken: 0, inDoubt: riders.length - taken };
}

/** Purchases over the API: they do not pass through Jasmin, which may be frozen, and send no ticket to the phone. */
async function buy(daemon, riders) {
  for (const rider of riders) {
    const { status, body } = await daemon.buy(rider, rider, VEHICLE);
    assert.ok([200, 201, 202].includes(status), `${status} ${JSON.stringify(body)}`);
  }
}

const attempts = (daemon, state) =>
  daemon.rows(`SELECT count(*) AS n FROM attempts WHERE state = '${state}'`)[0].n;

async function states(daemon) {
  const counts = {};
  for (const { state } of await daemon.charges()) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

async function ticketOf(carrier, rider, seconds) {
  const [text] = await until(`${rider} has a ticket`, async () => {
    const texts = await carrier.texts(rider);
    return texts.length > 0 && texts;
  }, seconds);
  checkTicket(text);
}

const bound = (daemon) =>
  until('the daemon has bound', async () => JSON.stringify(await daemon.get('/v1/carriers')).includes('"up":true'));

/** The carrier's entries under the references of the daemon: what was sent says which is whose. */
async function theirs({ daemon, carrier, riders }) {
  const sent = daemon.rows(`SELECT lower(hex(reference)) AS reference, msisdn, wire_reference FROM attempts
    JOIN charges USING (reference)`);
  const owner = new Map(sent.map((row) => [`${row.msisdn}/${row.wire_reference}`, row.reference]));
  return (await carrier.taken(riders)).map(({ msisdn, minor, number }) => ({
    reference: owner.get(`${msisdn}/${number}`) ?? `nobody's: ${msisdn}/${number}`,
    minor,
  }));
}

async function play(world, { config = '', needs, starts, act }, number) {
  const database = path.join(SCRATCH, `${number}.db`);
  const overlay = writeOverlay(
    SCRATCH,
    `${number}.toml`,
    `store.url = "sqlite://${database}"
carriers.beeline.smpp.window = ${WINDOW}
carriers.beeline.smpp.tps = 200
carriers.beeline.smpp.response_timeout_ms = 1500
carriers.beeline.smpp.enquire_after_ms = 1000
carriers.beeline.smpp.tariffs = [{ amount = "80", source = "25051" }, { source = "25059" }]
${config}`,
  );
  const files = [path.join(SCRATCH, 'smsbusd.toml'), overlay];
  const api = `http://127.0.0.1:${API_PORT}`;
  const log = path.join(SCRATCH, `${number}.log`);
  const daemon = new Daemon({ program: SMSBUSD, files, api, token: TOKEN, database, log });
  if (needs && !daemon.knows(needs)) return `this build does not know the key ${needs}`;
  const { carrier } = world;
  const scene = { ...world, daemon, riders: phones(RIDERS + WINDOW, number) };
  try {
    if (!starts) {
      await daemon.start();
      await bound(daemon);
    }
    const expected = await act(scene);
    const { charged, notTaken, inDoubt = 0, refusals = 0 } = expected;
    await audit(scene, { charged, notTaken, inDoubt });
    assert.equal(await daemon.stop(), 0, 'SIGTERM ends it with status 0');
    assert.equal((await carrier.stats()).malformed, 0, 'the carrier could read everything');
    return { charged, 'not taken': notTaken, 'in doubt': inDoubt, refusals };
  } catch (error) {
    throw new Error(`${error.message}\n--- the daemon's last lines:\n${daemon.lastLines()}`, { cause: error });
  } finally {
    await daemon.kill();
  }
}

async function audit(scene, expected) {
  const { daemon } = scene;
  await compare({ daemon, theirs: () => theirs(scene), expected });
  if (expected.inDoubt) {
    await resolveDoubts(daemon);
    const settled = { ...expected, notTaken: expected.notTaken + expected.inDoubt, inDoubt: 0 };
    await compare({ daemon, theirs: () => theirs(scene), expected: settled });
  }
  await nothingIsLeft(daemon);
}

async function main() {
  const jasmin = new Jasmin({ python: JASMIN_PYTHON, folder: path.join(SCRATCH, 'jasmin'), ports: PORTS });
  const world = { jasmin, carrier: new Carrier(CONTROL) };
  await jasmin.start();
  await jasmin.setUp();
  const playHere = (scenario, number) => play(world, scenario, number);
  const ok = await run('smsc-jasmin', SCENARIOS, playHere, RUN_SECONDS_MAX);
  await jasmin.kill();
  process.exit(ok ? 0 : 1);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
