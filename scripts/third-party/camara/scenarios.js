'use strict';
// Plays all scenarios: a daemon, its database and what stands between it and Prism anew for each.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { Daemon, writeOverlay } = require('../daemon');
const { run } = require('../runner');
const { Between, ask, endToEnd, TOKEN_PATH } = require('./between');
const { SUBSCRIBERS, ...contract } = require('./contract');
const { Memory } = require('./memory');
const mock = require('./mock');
const { freePort } = require('./ports');
const { startAll, startPrism } = require('./prism');
const { Simulator, Events } = require('./simulator');
const { readSpecs } = require('./specs');

const { SMSBUSD, SCRATCH, TOKEN } = process.env;
const API_PORT = Number(process.env.API_PORT);
const RUN_SECONDS_MAX = 600;
const SECRET = 'secret';
const SCENARIOS = [...mock.scenarios, ...contract.scenarios];

/** The token endpoint, which is in no file of CAMARA's: client credentials by basic authentication. */
async function token({ headers, body }) {
  const basic = `Basic ${Buffer.from(`smsbus:${SECRET}`).toString('base64')}`;
  const grant = new URLSearchParams(String(body)).get('grant_type');
  if (headers.authorization !== basic || grant !== 'client_credentials') {
    return { status: 401, body: JSON.stringify({ error: 'invalid_client' }) };
  }
  const answer = { access_token: `token-${Date.now()}`, token_type: 'Bearer', expires_in: 3600 };
  return { status: 200, body: JSON.stringify(answer) };
}

function carrier({ url, database, callbacks, facts }) {
  const sources = `
sim_swap_url = "${url}/sim-swap/v2"
tenure_url = "${url}/kyc-tenure/v0.2"`;
  return `store.url = "sqlite://${database}"
log.filter = "info,smsbusd::api::access_log=warn"
callbacks.listen = "127.0.0.1:${callbacks}"
facts.asking.breaker.failures_max = 1000
${facts ? 'facts.budget_ms = 5000\nfacts.asking.timeout_ms = 5000' : ''}

[carriers.kcell]
short_number = "2505"
prefixes = [701, 702, 775, 778]

[carriers.kcell.camara]
billing_url = "${url}/carrier-billing/v0.5"
refund_url = "${url}/carrier-billing-refund/v0.3"${facts ? sources : ''}
sink = "https://pay.example.kz/carriers/kcell"
callback_token_files = ["callback-token"]
token = { url = "${url}${TOKEN_PATH}", client_id = "smsbus", client_secret_file = "password" }
merchant = { name = "SMSBUS", identifier = "smsbus", purchase_category_code = "transport", channel = "sms", service_id = "bus", product_id = "fare" }
tax_included = true
tps = 1000
concurrency = 200
breaker.failures_max = 1000
connect_timeout_ms = 1000
response_timeout_ms = 3000
in_flight_delay_ms = 3000
list.clock_tolerance_ms = 1000
query = { first_after_ms = 250, interval_ms_max = 500 }
`;
}

/** What a scenario plays on: what stands before the gateway, and behind it a mock, or the simulator behind proxies. */
async function build({ specs, prisms, simulatorPort }, { simulates }, number) {
  if (!simulates) {
    const memory = new Memory();
    const plan = (exchange) => memory.plan(exchange);
    const change = (exchange, answer) => memory.change(exchange, answer);
    return { memory, between: new Between({ specs, prisms: prisms.mock, token, plan, change }) };
  }
  const handOn = ({ headers, body }) =>
    ask({ port: simulatorPort, method: 'POST', path: TOKEN_PATH, headers: endToEnd(headers), body });
  const between = new Between({ specs, prisms: prisms.proxy, token: handOn });
  const events = new Events({ specs, violations: between.violations });
  await events.listen();
  const simulator = new Simulator();
  const what = { answers: simulates, origin: events.origin, subscribers: SUBSCRIBERS };
  await simulator.start({ program: SMSBUSD, folder: SCRATCH, name: number, port: simulatorPort, ...what });
  return { between, events, simulator, answers: simulates };
}

async function play(common, scenario, number) {
  const { config = () => '', facts, act } = scenario;
  const world = await build(common, scenario, number);
  const { between, events, simulator } = world;
  await between.listen();
  const { url } = between;
  const database = path.join(SCRATCH, `${number}.db`);
  const callbacks = await freePort();
  if (events) events.port = callbacks;
  const texts = [carrier({ url, database, callbacks, facts }), config({ url })];
  const overlays = texts.map((text, n) => writeOverlay(SCRATCH, `${number}-${n}.toml`, text));
  const files = [path.join(SCRATCH, 'smsbusd.toml'), ...overlays];
  const log = path.join(SCRATCH, `${number}.log`);
  const daemon = new Daemon({ program: SMSBUSD, files, api: `http://127.0.0.1:${API_PORT}`, token: TOKEN, database, log });
  try {
    await daemon.start();
    const happened = await act({ ...world, daemon, specs: common.specs });
    assert.equal(await daemon.stop(), 0, 'SIGTERM ends it with status 0');
    assert.deepEqual(between.violations, [], 'nothing breaks the files');
    return { ...happened, requests: between.exchanges.length };
  } catch (error) {
    const wrong = `--- what breaks the files: ${between.violations.slice(0, 5).join('\n') || 'nothing'}`;
    throw new Error([error.message, wrong, `--- the daemon's last lines:\n${daemon.lastLines()}`].join('\n'), { cause: error });
  } finally {
    await daemon.kill();
    await simulator?.stop();
    await events?.close();
    await between.close();
  }
}

/** A mistake must be noticed, or the rest proves nothing: in a request, by a mock and by a proxy; in an answer, by a proxy. */
async function mistakesAreNoticed({ specs, prisms }) {
  const phoneNumber = '+77010000001';
  const good = JSON.stringify({ phoneNumber, maxAge: 24 });
  const answer = '{"swapped": "perhaps"}';
  const liar = http.createServer((_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(answer));
  liar.listen(0, '127.0.0.1');
  await once(liar, 'listening');
  const upstream = `http://127.0.0.1:${liar.address().port}`;
  const lied = await startPrism({ spec: specs.simSwap, upstream, folder: SCRATCH });
  const cases = { 'a request, by the mock': [prisms.mock.simSwap, '{"maxAge": "24"}'], 'an answer, by a proxy': [lied, good] };
  for (const [what, [port, body]] of Object.entries(cases)) {
    const headers = { 'content-type': 'application/json', authorization: 'Bearer x', 'content-length': body.length };
    const { headers: answered } = await ask({ port, method: 'POST', path: '/check', headers, body });
    assert.ok(answered['sl-violations'], `a mistake goes unnoticed in ${what}`);
  }
  const broken = specs.billing.problemsOfEvent({ type: 'org.camaraproject.carrier-billing.v0.payment-completed' });
  assert.ok(broken.length > 0, 'a mistake in an event goes unnoticed');
  liar.close();
  liar.closeAllConnections();
}

async function main() {
  const specs = readSpecs(path.join(__dirname, 'specs'));
  fs.writeFileSync(path.join(SCRATCH, 'callback-token'), 'a-token-for-events\n', { mode: 0o600 });
  const simulatorPort = await freePort();
  const upstream = `http://127.0.0.1:${simulatorPort}`;
  const prisms = { mock: await startAll({ specs, folder: SCRATCH }), proxy: await startAll({ specs, upstream, folder: SCRATCH }) };
  await mistakesAreNoticed({ specs, prisms });
  const common = { specs, prisms, simulatorPort };
  return run('camara', SCENARIOS, (scenario, number) => play(common, scenario, number), RUN_SECONDS_MAX);
}

main().then(
  (ok) => process.exit(ok ? 0 : 1),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
