'use strict';
// `smsbusd simulate` with CAMARA, as a process, and what stands between its events and the gateway.

const { spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const readline = require('node:readline');
const { adopt } = require('../daemon');
const { ask, read } = require('./between');

class Simulator {
  /** `port`: of CAMARA. `answers`: "settled" or "processing". `origin`: where its events go. `subscribers`: of its configuration. */
  async start({ program, folder, name, port, answers, origin, subscribers }) {
    const file = path.join(folder, `${name}-simulator.toml`);
    fs.writeFileSync(
      file,
      `smpp_listen = "127.0.0.1:0"
control_listen = "127.0.0.1:0"
[http.camara]
listen = "127.0.0.1:${port}"
answers = "${answers}"
[http.callbacks]
origin = "${origin}"
${subscribers}`,
    );
    const log = fs.openSync(path.join(folder, `${name}-simulator.log`), 'a');
    this.child = spawn(program, ['simulate', '--config', file], { stdio: ['ignore', 'pipe', log] });
    fs.closeSync(log);
    adopt(this.child);
    const first = once(readline.createInterface({ input: this.child.stdout }), 'line');
    const failed = once(this.child, 'exit').then(([status]) => {
      throw new Error(`the simulator ended with status ${status}`);
    });
    failed.catch(() => {});
    const [line] = await Promise.race([first, failed]);
    this.control = `http://${JSON.parse(line).control}`;
  }

  async get(route) {
    const response = await fetch(this.control + route, { signal: AbortSignal.timeout(5_000) });
    return response.json();
  }

  async stop() {
    if (this.child?.exitCode !== null) return;
    this.child.kill('SIGTERM');
    await once(this.child, 'exit');
  }
}

/** Takes events as the sink that the gateway names, holds them to the files, and hands them on to the gateway's listener. */
class Events {
  constructor({ specs, violations }) {
    Object.assign(this, { specs, violations, seen: [] });
    this.server = http.createServer((request, response) => {
      this.handle(request, response).catch((error) => {
        this.violations.push(`events: ${error.stack}`);
        response.destroy();
      });
    });
  }

  async listen() {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.origin = `http://127.0.0.1:${this.server.address().port}`;
  }

  async handle(request, response) {
    const body = await read(request);
    this.check(request.headers['content-type'], JSON.parse(body));
    const { host: _, connection: __, ...headers } = request.headers;
    const answer = await ask({ port: this.port, method: request.method, path: request.url, headers, body });
    // The gateway's answer is held to the file as well.
    if (answer.status !== 204) this.violations.push(`an event was answered with ${answer.status} ${answer.body}`);
    response.writeHead(answer.status);
    response.end(answer.body);
  }

  check(contentType, event) {
    this.seen.push(event);
    const spec = event.type.includes('.carrier-billing-refund.') ? this.specs.refund : this.specs.billing;
    const problems = spec.problemsOfEvent(event);
    if (contentType !== 'application/cloudevents+json') problems.push(`its content is ${contentType}`);
    this.violations.push(...problems.map((problem) => `event ${event.type}: ${problem}`));
  }

  async close() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

module.exports = { Simulator, Events };
