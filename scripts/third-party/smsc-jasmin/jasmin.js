'use strict';
// Jasmin as its operator sees it: a process, a console (jCli), log files.

const { spawn, execFileSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { adopt, until } = require('../daemon');

const USER = 'smsbus';
const CONNECTOR = 'carrier';
const LOCKS = '/tmp';
const LOCK = path.join(LOCKS, 'jasmind.lock');
const PROMPT = /(jcli : |> )$/;

class Jasmin {
  /**
   * `python`: of the environment that it is installed in. `ports`: { smpp, console, serverPb, clientPb, routerPb, amqp,
   * redis, carrier }, where the last is the SMSC that it sends on to.
   */
  constructor({ python, folder, ports }) {
    Object.assign(this, { python, folder, ports });
    this.config = path.join(folder, 'jasmin.cfg');
    this.logs = path.join(folder, 'log');
    fs.mkdirSync(this.logs, { recursive: true });
    fs.writeFileSync(this.config, this.#configuration());
  }

  /** Resolves when its console answers. It has neither users nor routes yet. */
  async start() {
    const output = fs.openSync(path.join(this.folder, 'jasmind.log'), 'a');
    const program = path.join(path.dirname(this.python), 'jasmind.py');
    const options = ['-c', this.config, '--enable-dlr-thrower', '--enable-dlr-lookup', '--disable-http-api'];
    // The dates of its receipts are in the zone that it runs in.
    const env = { ...process.env, TZ: 'Asia/Almaty', ROOT_PATH: this.folder, LOG_PATH: this.logs };
    this.child = spawn(this.python, [program, ...options], { env, stdio: ['ignore', output, output] });
    fs.closeSync(output);
    adopt(this.child);
    const { pid } = this.child;
    this.child.once('exit', () => breakLock(pid));
    process.once('exit', () => breakLock(pid));
    this.ended = once(this.child, 'exit');
    await until('the console of Jasmin answers', () => this.jcli([]).then(() => true, () => false));
  }

  /** A connector to the carrier, routes both ways through it, and the user that the daemon binds as. */
  async setUp({ password = 'secret', bindings = 2 } = {}) {
    const { carrier } = this.ports;
    await this.jcli([
      ...['group -a', 'gid partners', 'ok'],
      ...['user -a', `uid ${USER}`, `username ${USER}`, `password ${password}`, 'gid partners'],
      ...[`smpps_cred quota max_bindings ${bindings}`, 'ok'],
      ...['smppccm -a', `cid ${CONNECTOR}`, 'host 127.0.0.1', `port ${carrier}`, 'username smsbus', 'password secret'],
      ...['bind transceiver', 'submit_throughput 0', 'con_fail_delay 1', 'con_loss_delay 1', 'ok'],
      ...['mtrouter -a', 'type DefaultRoute', `connector smppc(${CONNECTOR})`, 'rate 0.0', 'ok'],
      ...['morouter -a', 'type DefaultRoute', `connector smpps(${USER})`, 'ok'],
      `smppccm -1 ${CONNECTOR}`,
    ]);
    await until('Jasmin is bound to the carrier', async () => {
      const [answer] = await this.jcli(['smppccm -l']);
      return answer.includes('BOUND_TRX');
    });
  }

  updateUser(...lines) {
    return this.jcli([`user -u ${USER}`, ...lines, 'ok']);
  }

  stopConnector() {
    return this.jcli([`smppccm -0 ${CONNECTOR}`]);
  }

  /** Types the lines, each after the answer to the one before; resolves to the answers. */
  async jcli(lines) {
    const console = await this.#openConsole();
    const answers = [];
    for (const line of lines) {
      console.write(line);
      answers.push(await console.answer(line));
    }
    console.close();
    const refused = answers.find((answer) => /^(Error|Unknown|Incorrect|You must|Failed)/m.test(answer));
    if (refused) throw new Error(`jCli: ${refused}`);
    return answers;
  }

  /** Freezes it; `thaw` lets it go on, and then it reads the line that was typed meanwhile. */
  async freezeBefore(line) {
    const console = await this.#openConsole();
    this.freeze();
    console.write(line);
    return { answered: () => console.answer(line).finally(console.close) };
  }

  freeze() {
    this.child.kill('SIGSTOP');
  }

  thaw() {
    this.child.kill('SIGCONT');
  }

  async kill() {
    if (this.child?.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGKILL');
      await this.ended;
    }
  }

  /** How often `pattern` stands in the log of its SMPP server. */
  logged(pattern) {
    const file = path.join(this.logs, 'default-smpps_01.log');
    return fs.existsSync(file) ? [...fs.readFileSync(file, 'utf8').matchAll(pattern)].length : 0;
  }

  async #openConsole() {
    const socket = net.connect(this.ports.console, '127.0.0.1');
    let received = '';
    socket.on('data', (data) => (received += data.toString('latin1').replaceAll('\r', '')));
    socket.on('error', () => {}); // `destroyed` says it
    await once(socket, 'connect');
    const heard = (what, there) =>
      until(what, () => {
        if (socket.destroyed) throw new Error(`jCli hung up: ${received}`);
        return there();
      });
    const write = (line) => {
      received = '';
      socket.write(`${line}\r\n`);
    };
    await heard('jCli greets', () => received.includes('Session ref'));
    const answer = async (line) => {
      await heard(`jCli answers to ${line}`, () => received.includes('\n') && PROMPT.test(received));
      return received.split('\n').slice(1, -1).join('\n');
    };
    return { write, answer, close: () => socket.destroy() };
  }

  /** AMQP 0-9-1 as its client library brings it. */
  #specification() {
    const folder = 'import os, txamqp; print(os.path.dirname(txamqp.__file__))';
    const library = execFileSync(this.python, ['-c', folder], { encoding: 'utf8' }).trim();
    return path.join(library, 'specs/standard/amqp0-9-1.stripped.xml');
  }

  #configuration() {
    const { smpp, console, serverPb, clientPb, routerPb, amqp, redis } = this.ports;
    const store = path.join(this.folder, 'store');
    fs.mkdirSync(store, { recursive: true });
    return `[smpp-server]
bind = 127.0.0.1
port = ${smpp}
[smpp-server-pb]
bind = 127.0.0.1
port = ${serverPb}
[client-management]
bind = 127.0.0.1
port = ${clientPb}
store_path = ${store}
[router]
bind = 127.0.0.1
port = ${routerPb}
store_path = ${store}
[sm-listener]
submit_retrial_delay_smppc_not_ready = 1
[dlr]
dlr_lookup_retry_delay = 1
[deliversm-thrower]
retry_delay = 1
max_retries = 60
[dlr-thrower]
retry_delay = 1
max_retries = 60
[amqp-broker]
port = ${amqp}
spec = ${this.#specification()}
[redis-client]
port = ${redis}
[jcli]
port = ${console}
authentication = False
`;
  }
}

/** It locks /tmp/jasmind for the whole machine, and killed, leaves that behind: two names of one file. */
function breakLock(pid) {
  const names = fs.readdirSync(LOCKS).map((name) => path.join(LOCKS, name));
  const own = names.find((name) => path.basename(name).startsWith(os.hostname()) && name.includes(`.${pid}`));
  if (!own) return;
  const { ino } = fs.statSync(own);
  for (const name of [LOCK, own]) if (fs.statSync(name, { throwIfNoEntry: false })?.ino === ino) fs.unlinkSync(name);
}

module.exports = { Jasmin, USER };
