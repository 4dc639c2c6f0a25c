'use strict';
// Prism, by Stoplight: a mock that it makes of an OpenAPI file, or a proxy that checks what passes against the file.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { adopt, until } = require('../daemon');
const { freePort } = require('./ports');

const PROGRAM = require.resolve('@stoplight/prism-cli/dist/index.js');
const ADDRESS = '127.0.0.1';

/** Starts it. `upstream`: whom a proxy asks; without it, a mock. Resolves to its port. */
async function startPrism({ spec, upstream, folder }) {
  const port = await freePort();
  const log = path.join(folder, `prism-${upstream ? 'proxy' : 'mock'}-${spec.name}-${port}.log`);
  const output = fs.openSync(log, 'a');
  const what = upstream ? ['proxy', spec.file, upstream] : ['mock', spec.file];
  const options = ['--host', ADDRESS, '--port', String(port), '--multiprocess', 'false'];
  const child = spawn(process.execPath, [PROGRAM, ...what, ...options], { stdio: ['ignore', output, output] });
  fs.closeSync(output);
  adopt(child);
  await until(`prism has read ${spec.file}`, () => {
    if (child.exitCode !== null) throw new Error(`prism ended: ${fs.readFileSync(log, 'utf8')}`);
    return fs.readFileSync(log, 'utf8').includes('Prism is listening');
  }, 60);
  return port;
}

/** One for each file, side by side: { billing: port, … }. `upstream` of a proxy is what stands before the base paths. */
async function startAll({ specs, upstream, folder }) {
  const one = async (spec) => [spec.name, await startPrism({ spec, upstream: upstream && upstream + spec.base, folder })];
  return Object.fromEntries(await Promise.all(Object.values(specs).map(one)));
}

module.exports = { startPrism, startAll };
