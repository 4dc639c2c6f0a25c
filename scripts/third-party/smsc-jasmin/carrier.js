'use strict';
// The carrier behind Jasmin, `smsbusd simulate`, by its control: phones, balances, and the books that count.

class Carrier {
  /** `control`: host and port. */
  constructor(control) {
    this.control = control;
  }

  /** An SMS from a phone; resolves when Jasmin has acknowledged it. */
  mo(msisdn, text) {
    return this.#call('POST', '/mo', { msisdn: `+${msisdn}`, to: '2505', text });
  }

  async impoverish(msisdn) {
    const subscriber = await this.#call('GET', `/subscribers/%2B${msisdn}`);
    await this.#call('PUT', `/subscribers/%2B${msisdn}`, { ...subscriber, balance_minor: 100 });
  }

  /** What the phone shows, without the charged messages: those come from another number. */
  async texts(msisdn) {
    const inbox = await this.#call('GET', `/inbox/%2B${msisdn}`);
    return inbox.filter(({ from }) => from === '2505').map(({ text }) => text);
  }

  /** What it took from these phones: { msisdn, minor, number }, where `number` is the user_message_reference. */
  async taken(phones) {
    const { entries } = await this.#call('GET', '/ledger');
    return entries
      .map((entry) => ({
        msisdn: entry.msisdn.replace('+', ''),
        minor: entry.amount.minor,
        number: entry.user_message_reference,
      }))
      .filter(({ msisdn }) => phones.includes(msisdn));
  }

  stats() {
    return this.#call('GET', '/stats');
  }

  async #call(method, route, body) {
    const options = { method, signal: AbortSignal.timeout(30_000) };
    if (body) Object.assign(options, { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    const response = await fetch(`http://${this.control}${route}`, options);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }
}

module.exports = { Carrier };
