'use strict';
// The scenarios, one daemon and one database for each. What must hold is asserted; a line says what happened.

const assert = require('node:assert/strict');
const path = require('node:path');
const { compare, nothingIsLeft, resolveDoubts } = require('../books');
const { Daemon, until, writeOverlay } = require('../daemon');
const { run } = require('../runner');
const { Smsc } = require('./smsc');

const { SMSBUSD, SCRATCH, TOKEN } = process.env;
const [SMPP_PORT, API_PORT] = [process.env.SMPP_PORT, process.env.API_PORT].map(Number);
const RUN_SECONDS_MAX = 300;
const SCENARIOS = ['./ordinary', './outages', './binds'].flatMap((file) => require(file).scenarios);

/**
 * `carrier`: how the SMSC is set up. `config`: what the daemon's configuration has beyond that. `needs`: a key without
 * which it cannot be played. `starts`: it starts the daemon itself. `act` returns what is to be expected of the books.
 */
async function play({ carrier, config = '', needs, starts, act }, number) {
  const database = path.join(SCRATCH, `${number}.db`);
  const overlay = writeOverlay(
    SCRATCH,
    `${number}.toml`,
    `store.url = "sqlite://${database}"
carriers.beeline.smpp.charged_at = "${carrier.chargedAt}"
carriers.beeline.smpp.message_id = { response = "${carrier.ids.response}", receipt_text = "${carrier.ids.receipt}" }
carriers.beeline.smpp.response_timeout_ms = 1000
carriers.beeline.smpp.enquire_after_ms = 300
${config}`,
  );
  const files = [path.join(SCRATCH, 'smsbusd.toml'), overlay];
  const api = `http://127.0.0.1:${API_PORT}`;
  const log = path.join(SCRATCH, `${number}.log`);
  const daemon = new Daemon({ program: SMSBUSD, files, api, token: TOKEN, database, log });
  if (needs && !daemon.knows(needs)) return `this build does not know the key ${needs}`;
  const smsc = new Smsc(carrier);
  await smsc.listen(SMPP_PORT);
  try {
    if (!starts) {
      await daemon.start();
      await until('the daemon has bound', () => smsc.session);
    }
    const expected = await act({ smsc, daemon });
    const happened = await audit({ smsc, daemon, expected });
    assert.equal(await daemon.stop(), 0, 'SIGTERM ends it with status 0');
    assert.ok(smsc.seen.unbind >= 1, 'it unbinds before it goes');
    return happened;
  } catch (error) {
    const faults = `--- faults that the SMSC saw: ${JSON.stringify(smsc.faults)}`;
    const lines = `--- the daemon's last lines:\n${daemon.lastLines()}`;
    throw new Error([error.message, faults, lines].join('\n'), { cause: error });
  } finally {
    await daemon.kill();
    await smsc.close();
  }
}

async function audit({ smsc, daemon, expected }) {
  const charges = await compare({ daemon, theirs: () => smsc.ledger, expected });
  await until('the SMSC has delivered everything', () => smsc.undelivered.length === 0);
  const sent = smsc.submissions.map(({ reference }) => reference);
  assert.equal(new Set(sent).size, sent.length, 'nothing that was not refused was sent a second time');
  if (expected.inDoubt) {
    await resolveDoubts(daemon);
    const settled = { ...expected, notTaken: expected.notTaken + expected.inDoubt, inDoubt: 0 };
    await compare({ daemon, theirs: () => smsc.ledger, expected: settled });
  }
  await nothingIsLeft(daemon);
  assert.deepEqual(smsc.faults, [], 'the SMSC saw nothing that it could not read');
  const { charged, notTaken, inDoubt = 0 } = expected;
  assert.equal(charges.length, charged + notTaken + inDoubt);
  const happened = { charged, 'not taken': notTaken, 'in doubt': inDoubt, refusals: smsc.refusals.length };
  return { ...happened, submit_sm: smsc.seen.submit_sm, binds: smsc.binds };
}

run('smsc-npm', SCENARIOS, play, RUN_SECONDS_MAX).then((ok) => process.exit(ok ? 0 : 1));
