'use strict';
// An SMSC on the npm package `smpp` (farhadi/node-smpp), and a carrier's books beside it. It shares no code with
// smsbusd: what it cannot read, or reads otherwise than it was meant, is a fault that a run reports.

const { EventEmitter, once } = require('node:events');
const smpp = require('smpp');

// What the carrier's contract says: the tariff's code, and the reference that its books are compared by.
smpp.addTLV('tariff', { id: 0x1401, type: smpp.types.tlv.cstring });
smpp.addTLV('charge_reference', { id: 0x1402, type: smpp.types.tlv.buffer });

const SHORT_NUMBER = '2505';
const INSUFFICIENT_BALANCE = 0x450;
const DELIVERY_TRIES_MAX = 50;
const RECEIPT = 0x04;
// Tariff code to tiyn: the fare of one bus in Almaty, for one to nine passengers.
const TARIFFS = new Map(Array.from({ length: 9 }, (_, n) => [`BUS_${80 * (n + 1)}`, 8000 * (n + 1)]));

class Smsc extends EventEmitter {
  /**
   * `chargedAt`: 'submission' or 'delivery'. `ids`: { response, receipt }, each 'decimal' or 'hex'.
   * `answer(message)`: what becomes of a charged submission: 'answer', 'keep_silent' or 'hang_up'; books and receipts
   * are the same in all three. `holdReceipts`: keep receipts until `releaseReceipts`.
   */
  constructor({ chargedAt, ids, answer = () => 'answer', holdReceipts = false }) {
    super();
    Object.assign(this, { chargedAt, ids, answer, holdReceipts });
    this.ledger = []; // what was taken: { reference, msisdn, minor, id }
    this.submissions = []; // charged submissions, in order
    this.inbox = new Map(); // msisdn to the texts that its phone shows, without the charged ones
    this.poor = new Set(); // these have no money
    this.unreachable = new Set(); // these phones are off
    this.faults = []; // what a peer that keeps to the specification does not do
    this.seen = {}; // PDUs received, by command
    this.undelivered = []; // deliver_sm that nobody has acknowledged
    this.receiptsHeld = [];
    this.binds = 0;
    this.session = null;
    this.nextId = 0x1F3A0B7; // over 2^24, so that decimal and hexadecimal look different
  }

  async listen(port) {
    this.server = smpp.createServer((session) => this.#accept(session));
    this.server.on('error', (error) => this.#fault(`server: ${error.message}`));
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    return this.server.address().port;
  }

  async close() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const session of [...this.server.sessions]) session.destroy();
    await closed;
  }

  /** An SMS from a phone; resolves when the gateway has acknowledged it. */
  mo(msisdn, text) {
    return this.#deliver({ source_addr: msisdn, esm_class: 0, short_message: text });
  }

  releaseReceipts() {
    this.holdReceipts = false;
    return Promise.all(this.receiptsHeld.splice(0).map((receipt) => this.#deliver(receipt)));
  }

  texts(msisdn) {
    return this.inbox.get(msisdn) ?? [];
  }

  #fault(what) {
    this.faults.push(what);
  }

  #accept(session) {
    session.on('error', (error) => {
      // A process that was killed resets its connections; a PDU that cannot be read is another matter.
      if (!['ECONNRESET', 'EPIPE'].includes(error.code)) this.#fault(`session: ${error.stack ?? error}`);
    });
    session.on('pdu', (pdu) => this.#received(session, pdu));
    session.on('close', () => {
      if (this.session === session) this.session = null;
    });
  }

  #received(session, pdu) {
    this.seen[pdu.command] = (this.seen[pdu.command] ?? 0) + 1;
    if (session !== this.session && !['bind_transceiver', 'unbind', 'enquire_link'].includes(pdu.command)) {
      this.#fault(`${pdu.command} before a bind`);
    }
    switch (pdu.command) {
      case 'bind_transceiver':
        return this.#bind(session, pdu);
      case 'submit_sm':
        return this.#submit(session, pdu);
      case 'enquire_link':
        return session.send(pdu.response());
      case 'unbind':
        session.send(pdu.response());
        return session.close();
      case 'deliver_sm_resp':
      case 'enquire_link_resp':
      case 'unbind_resp':
        return undefined;
      default:
        return this.#fault(`${pdu.command}, command_status ${pdu.command_status}`);
    }
  }

  #bind(session, pdu) {
    if (pdu.system_id !== 'smsbus' || pdu.password !== 'secret') {
      return session.send(pdu.response({ command_status: smpp.ESME_RBINDFAIL }));
    }
    if (pdu.interface_version !== 0x34) this.#fault(`interface_version 0x${pdu.interface_version.toString(16)}`);
    session.send(pdu.response({ system_id: 'node-smpp' }));
    this.session = session;
    this.binds += 1;
    this.emit('bound');
    for (const waiting of this.undelivered) this.#transmit(waiting);
    return undefined;
  }

  #submit(session, pdu) {
    const message = {
      id: this.nextId++,
      msisdn: pdu.destination_addr,
      source: pdu.source_addr,
      text: pdu.short_message.message,
      dataCoding: pdu.data_coding,
      receiptWanted: (pdu.registered_delivery & 3) === 1,
      userMessageReference: pdu.user_message_reference,
      tariff: pdu.tariff,
      reference: pdu.charge_reference?.toString('hex'),
      validUntil: pdu.validity_period,
      submittedAt: new Date(),
    };
    this.#check(pdu, message);
    if (!message.tariff) {
      session.send(pdu.response({ message_id: this.#written(message.id, this.ids.response) }));
      this.inbox.set(message.msisdn, [...this.texts(message.msisdn), message]);
      this.#finish(message, 'DELIVRD', '000');
      return;
    }
    this.submissions.push(message);
    const response = this.#charge(message);
    this.emit('submission', message);
    switch (this.answer(message)) {
      case 'keep_silent':
        return;
      case 'hang_up':
        session.destroy();
        return;
      default:
        session.send(pdu.response(response));
    }
  }

  /** Takes the money as the contract says, and returns what `submit_sm_resp` has to say of it. */
  #charge(message) {
    const minor = TARIFFS.get(message.tariff);
    const taken = { reference: message.reference, msisdn: message.msisdn, minor, id: message.id };
    const poor = this.poor.has(message.msisdn);
    if (minor === undefined) return { command_status: smpp.ESME_RINVTLVVAL };
    if (this.chargedAt === 'submission') {
      if (poor) return { command_status: INSUFFICIENT_BALANCE };
      this.ledger.push(taken);
      this.#finish(message, 'DELIVRD', '000');
    } else if (poor) {
      this.#finish(message, 'UNDELIV', '050');
    } else if (this.unreachable.has(message.msisdn)) {
      this.#finish(message, 'EXPIRED', '001');
    } else {
      this.ledger.push(taken);
      this.#finish(message, 'DELIVRD', '000');
    }
    return { message_id: this.#written(message.id, this.ids.response) };
  }

  /** What the specification and the contract ask of a `submit_sm`, as far as this package shows it. */
  #check(pdu, message) {
    const name = message.tariff ? 'charged submit_sm' : 'submit_sm';
    const must = (holds, what) => holds || this.#fault(`${name}: ${what}`);
    must(/^77\d{9}$/.test(message.msisdn), `destination_addr ${message.msisdn}`);
    must(pdu.dest_addr_ton === 1 && pdu.dest_addr_npi === 1, 'an international number has TON 1 and NPI 1');
    must(message.source === SHORT_NUMBER, `source_addr ${message.source}`);
    must(message.receiptWanted, 'no receipt is asked for');
    must(typeof message.text === 'string' && message.text.length > 0, 'no text');
    must(message.dataCoding !== 8 || message.text.length <= 134, `${message.text?.length} characters of UCS-2`);
    must(message.validUntil > message.submittedAt, 'validity_period is not ahead');
    if (message.tariff) {
      must(message.reference?.length === 32, 'TLV 0x1402 is no reference of 16 bytes');
      must(Number.isInteger(message.userMessageReference), 'no user_message_reference');
      must(message.validUntil - message.submittedAt <= 61_000, 'valid beyond the ticket deadline');
    }
  }

  #finish(message, stat, err) {
    const fields = [
      `id:${this.#written(message.id, this.ids.receipt)}`,
      'sub:001',
      `dlvrd:${stat === 'DELIVRD' ? '001' : '000'}`,
      `submit date:${almatyMinute(message.submittedAt)}`,
      `done date:${almatyMinute(new Date())}`,
      `stat:${stat}`,
      `err:${err}`,
      // The quoted beginning is left empty: in UCS-2 there would be nothing that a text receipt could quote.
      'text:',
    ];
    const receipt = { source_addr: message.msisdn, esm_class: RECEIPT, short_message: fields.join(' ') };
    // Carriers that echo it do so in the TLV; it is what finds the owner when the response was lost.
    if (message.userMessageReference !== undefined) receipt.user_message_reference = message.userMessageReference;
    if (this.holdReceipts && message.tariff) this.receiptsHeld.push(receipt);
    else setTimeout(() => this.#deliver(receipt), 20);
  }

  #written(id, base) {
    return base === 'hex' ? id.toString(16).toUpperCase() : id.toString(10);
  }

  /** Sends a `deliver_sm`, again on every new bind and after every refusal until it is acknowledged. */
  #deliver(fields) {
    return new Promise((resolve) => {
      const waiting = { fields, resolve, tries: 0, done: false };
      this.undelivered.push(waiting);
      this.#transmit(waiting);
    });
  }

  #transmit(waiting) {
    if (!this.session || waiting.done) return;
    if (++waiting.tries > DELIVERY_TRIES_MAX) {
      this.#fault(`not acknowledged after ${DELIVERY_TRIES_MAX} tries: ${waiting.fields.short_message}`);
      return;
    }
    const addresses = { source_addr_ton: 1, source_addr_npi: 1, dest_addr_ton: 3, destination_addr: SHORT_NUMBER };
    this.session.deliver_sm({ ...addresses, ...waiting.fields }, (response) => {
      if (response.command_status !== 0) {
        setTimeout(() => this.#transmit(waiting), 100);
        return;
      }
      waiting.done = true;
      this.undelivered = this.undelivered.filter((other) => other !== waiting);
      waiting.resolve();
    });
  }
}

/** `YYMMDDhhmm` in Almaty, which has been UTC+5 all year since 2024. */
function almatyMinute(moment) {
  const there = new Date(moment.getTime() + 5 * 3_600_000).toISOString();
  return there.slice(2, 16).replace(/[-T:]/g, '');
}

module.exports = { Smsc, SHORT_NUMBER };
