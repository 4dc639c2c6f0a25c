'use strict';
// smsbusd as its operator sees it: a process, an HTTP API, a database file.

const { spawn, spawnSync, execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');

// Whatever ends this process, nothing that it started outlives it.
const running = new Set();
function adopt(child) {
  running.add(child);
  child.once('exit', () => running.delete(child));
}
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143]]) process.on(signal, () => process.exit(status));

class Daemon {
  /** `files`: configuration files, a later one over an earlier one. `database`: the SQLite file that they name. */
  constructor({ program, files, api, token, database, log }) {
    Object.assign(this, { program, files, api, token, database, log });
    this.child = null;
  }

  async start() {
    const output = fs.openSync(this.log, 'a');
    const configs = this.files.flatMap((file) => ['--config', file]);
    this.child = spawn(this.program, ['serve', ...configs], { stdio: ['ignore', output, output] });
    fs.closeSync(output);
    adopt(this.child);
    this.ended = once(this.child, 'exit');
    await until('the API answers', async () => {
      if (this.child.exitCode !== null) throw new Error(`smsbusd ended with status ${this.child.exitCode}`);
      return this.get('/v1/carriers').then(() => true, () => false);
    });
  }

  /** SIGTERM, and the exit status that follows. */
  async stop() {
    this.child.kill('SIGTERM');
    const [status] = await this.ended;
    return status;
  }

  async kill() {
    if (this.child?.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGKILL');
      await this.ended;
    }
  }

  /** Stops it where it is, as a full machine would; `thaw` lets it go on. */
  freeze() {
    this.child.kill('SIGSTOP');
  }

  thaw() {
    this.child.kill('SIGCONT');
  }

  async get(route) {
    const headers = { authorization: `Bearer ${this.token}` };
    const response = await fetch(this.api + route, { headers, signal: AbortSignal.timeout(5_000) });
    const body = await response.json();
    if (!response.ok) throw new Error(`GET ${route}: ${response.status} ${JSON.stringify(body)}`);
    return body;
  }

  /** All charges, or those of one phone. */
  async charges(msisdn) {
    const query = msisdn ? `&msisdn=%2B${msisdn}` : '';
    return (await this.get(`/v1/charges?limit=200${query}`)).charges;
  }

  /** Buys over the API, and returns what it answers. `key` is the idempotency key. */
  async buy(key, msisdn, vehicle) {
    return this.post('/v1/charges', { msisdn: `+${msisdn}`, vehicle }, key);
  }

  async post(route, body, key) {
    const headers = { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' };
    if (key) headers['idempotency-key'] = key;
    const options = { method: 'POST', headers, body: JSON.stringify(body), signal: AbortSignal.timeout(5_000) };
    const response = await fetch(this.api + route, options);
    return { status: response.status, body: await response.json() };
  }

  /** What an operator does with a doubt that no message will ever settle. `outcome`: 'charged' or 'not-charged'. */
  resolve(reference, outcome, because) {
    const env = { ...process.env, SMSBUSD_SERVER: this.api, SMSBUSD_TOKEN: this.token };
    const command = ['charge', 'resolve', '--as', outcome, '--because', because, reference];
    execFileSync(this.program, command, { env, timeout: 10_000, stdio: 'pipe' });
  }

  /** Whether this program knows the key, which its configuration uses. Any other problem with that is an error. */
  knows(key) {
    const configs = this.files.flatMap((file) => ['--config', file]);
    const checked = spawnSync(this.program, ['check-config', ...configs], { encoding: 'utf8', timeout: 10_000 });
    if (checked.status === 0) return true;
    const complaint = checked.stdout + checked.stderr;
    if (complaint.includes(`${key}: unknown key`)) return false;
    throw new Error(`check-config: status ${checked.status}: ${complaint}`);
  }

  /** What the database says, read by SQLite's own shell. */
  rows(sql) {
    const options = { encoding: 'utf8', timeout: 10_000 };
    const text = execFileSync('sqlite3', ['-readonly', '-json', this.database, sql], options);
    return text.trim() ? JSON.parse(text) : [];
  }

  lastLines() {
    if (!fs.existsSync(this.log)) return '';
    return fs.readFileSync(this.log, 'utf8').split('\n').slice(-15).join('\n');
  }
}

/** Asks until the answer is truthy, and returns it. */
async function until(what, ask, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A file that is laid over the configuration. */
function writeOverlay(folder, name, text) {
  const file = path.join(folder, name);
  fs.writeFileSync(file, text);
  return file;
}

module.exports = { Daemon, adopt, until, writeOverlay };
