'use strict';
// Stands between smsbusd and Prism, which are both left as they are. It gives out access tokens, hands each request on to the
// Prism of its file, byte for byte, notes what Prism finds wrong with requests and answers, and does what a scenario asks for:
// has Prism give a certain answer (`Prefer`), changes an answer, or loses it.

const http = require('node:http');
const { once } = require('node:events');

const HOST = '127.0.0.1';
const STEP_BY_STEP = ['connection', 'host', 'keep-alive', 'transfer-encoding'];
const TOKEN_PATH = '/oauth2/token';

class Between {
  /**
   * `specs`: the files. `prisms`: the port of each one's Prism. `token(request)`: resolves to the answer of the token endpoint,
   * { status, body }. `plan(exchange)`: what a scenario wants of this exchange, before Prism is asked: { prefer }.
   * `change(exchange)`: the same once Prism has answered: { body, headers, lose }.
   */
  constructor({ specs, prisms, token, plan = () => ({}), change = () => ({}) }) {
    Object.assign(this, { specs, prisms, token, plan, change });
    /** Every exchange that the files know, in order. */
    this.exchanges = [];
    /** What was wrong, as texts. */
    this.violations = [];
    this.server = http.createServer((request, response) => {
      this.handle(request, response).catch((error) => {
        this.violations.push(`between: ${error.stack}`);
        response.destroy();
      });
    });
  }

  async listen() {
    this.server.listen(0, HOST);
    await once(this.server, 'listening');
    this.url = `http://${HOST}:${this.server.address().port}`;
  }

  async close() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  /** The exchanges of one operation; of one phone or payment, if `about` is given. */
  of(operation, about) {
    return this.exchanges.filter((each) => each.operation.id === operation && (!about || about(each)));
  }

  async handle(request, response) {
    const body = await read(request);
    const url = new URL(request.url, this.url);
    if (url.pathname === TOKEN_PATH) {
      const answer = await this.token({ headers: request.headers, body });
      response.writeHead(answer.status, { 'content-type': 'application/json' });
      response.end(answer.body);
      return;
    }
    const spec = Object.values(this.specs).find(({ base }) => url.pathname.startsWith(`${base}/`));
    const operation = spec?.match(request.method, url.pathname.slice(spec.base.length));
    if (!operation) {
      this.violations.push(`${request.method} ${url.pathname}: no operation of any file`);
      response.writeHead(404).end();
      return;
    }
    const exchange = { spec, operation, query: url.searchParams, asked: parse(body), headers: request.headers };
    this.exchanges.push(exchange);
    await this.pass(exchange, { method: request.method, path: url.pathname.slice(spec.base.length) + url.search, body }, response);
  }

  async pass(exchange, { method, path, body }, response) {
    const { prefer } = this.plan(exchange);
    const headers = endToEnd(exchange.headers);
    if (prefer) headers.prefer = prefer;
    const answer = await ask({ port: this.prisms[exchange.spec.name], method, path, headers, body });
    Object.assign(exchange, { status: answer.status, answered: parse(answer.body), prefer });
    this.note(exchange, answer);
    const changed = this.change(exchange, answer);
    if (changed.lose) {
      exchange.lost = true;
      response.destroy();
      return;
    }
    let bytes = answer.body;
    if (changed.body !== undefined) {
      // What is changed must still be what the file allows.
      const wrong = exchange.spec.problemsOfAnswer(exchange.operation, answer.status, changed.body);
      this.violations.push(...wrong.map((problem) => `changed answer: ${problem}`));
      bytes = Buffer.from(JSON.stringify(changed.body));
      exchange.answered = changed.body;
    }
    const { 'content-length': _, ...rest } = endToEnd(answer.headers);
    response.writeHead(answer.status, { ...rest, ...changed.headers });
    response.end(bytes);
  }

  /** What Prism says of an exchange: in a header, or by an answer of its own. */
  note({ operation, asked }, { status, headers, body }) {
    const text = String(body);
    const found = headers['sl-violations'] ? JSON.parse(headers['sl-violations']) : [];
    const own = text.includes('stoplight.io/prism/errors') ? [{ location: ['answer of Prism'], message: `${status} ${text}` }] : [];
    for (const { location, message } of [...found, ...own]) {
      this.violations.push(`${operation.id}: ${location.join('.')}: ${message}; asked ${JSON.stringify(asked)}; answered ${text}`);
    }
  }
}

async function read(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function parse(body) {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function endToEnd(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !STEP_BY_STEP.includes(name)));
}

/** One request, and its whole answer. */
async function ask({ port, method, path, headers = {}, body }) {
  const request = http.request({ host: HOST, port, method, path, headers, agent: false });
  request.end(body);
  const [answer] = await once(request, 'response');
  return { status: answer.statusCode, headers: answer.headers, body: await read(answer) };
}

module.exports = { Between, ask, read, endToEnd, TOKEN_PATH };
