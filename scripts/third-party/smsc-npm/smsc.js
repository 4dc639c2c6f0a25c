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
const UDHI = 0x40;
const SEGMENT_OCTETS_MAX = 140;
const BINDS = { bind_transceiver: 'transceiver', bind_transmitter: 'transmitter', bind_receiver: 'receiver' };
// Tariff code to tiyn: the fare of one bus in Almaty, for one to nine passengers.
const TARIFFS = new Map(Array.from({ length: 9 }, (_, n) => [`BUS_${80 * (n + 1)}`, 8000 * (n + 1)]));

class Smsc extends EventEmitter {
  /**
   * `chargedAt`: 'submission' or 'delivery'. `ids`: { response, receipt }, each 'decimal' or 'hex'.
   * `answer(message)`: what becomes of a charged submission. 'answer', 'keep_silent', 'hang_up' or 'hold' (until
   * `answerHeld`): books and receipts are the same in all four. 'lose': it gets neither into the books nor an answer.
   * `refuse(pdu)`: a `command_status` for a submission that is not taken. `holdReceipts`: keep receipts until
   * `releaseReceipts`. `bindAnswers`, to be set: what becomes of the next binds, one after another: a
   * `command_status`, or 'keep_silent'.
   */
  constructor({ chargedAt, ids, answer = () => 'answer', refuse = () => undefined, holdReceipts = false }) {
    super();
    Object.assign(this, { chargedAt, ids, answer, refuse, holdReceipts });
    this.bindAnswers = [];
    this.ledger = []; // what was taken: { reference, msisdn, minor, id }
    this.submissions = []; // charged submissions that were not refused, in order
    this.refusals = []; // what was refused, and when: { status, at }
    this.held = []; // answers that wait for `answerHeld`
    this.inbox = new Map(); // msisdn to the texts that its phone shows, without the charged ones
    this.poor = new Set(); // these have no money
    this.unreachable = new Set(); // these phones are off
    this.faults = []; // what a peer that keeps to the specification does not do
    this.seen = {}; // PDUs received, by command
    this.undelivered = []; // deliver_sm that nobody has acknowledged
    this.receiptsHeld = [];
    this.receiptsElsewhere = 0; // on another link than the submission, and that one was up
    this.binds = 0;
    this.bindTries = []; // when
    this.sessions = []; // those that are bound
    this.parts = new Map(); // of long texts, until all are here
    this.nextConcatenation = 0;
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

  /** Any bound session, or none. */
  get session() {
    return this.sessions[0];
  }

  /** An SMS from a phone; resolves when the gateway has acknowledged it. */
  mo(msisdn, text) {
    return this.#deliver({ source_addr: msisdn, esm_class: 0, short_message: text });
  }

  /** An SMS in parts, each with a header of its own, in the order of `parts`: [number, text], of `total`. */
  async moInParts(msisdn, total, parts) {
    this.nextConcatenation = (this.nextConcatenation + 1) % 256;
    for (const [number, text] of parts) {
      const udh = Buffer.from([5, 0, 3, this.nextConcatenation, total, number]);
      const short_message = { udh, message: text };
      await this.#deliver({ source_addr: msisdn, esm_class: UDHI, data_coding: 8, short_message });
    }
  }

  releaseReceipts() {
    this.holdReceipts = false;
    return Promise.all(this.receiptsHeld.splice(0).map((receipt) => this.#deliver(receipt)));
  }

  /** Answers the first `count` of what is held, and forgets them; all of it without `count`. */
  answerHeld(count = this.held.length) {
    for (const { session, response } of this.held.splice(0, count)) session.send(response);
  }

  /** Every link ends with an RST. What is held is never answered. */
  resetLinks() {
    this.held = [];
    for (const session of this.sessions) session.socket.resetAndDestroy();
  }

  /** The SMSC unbinds from everybody; resolves when all have answered. Each connection is closed a second later. */
  unbindAll() {
    const gone = (session) =>
      new Promise((resolve) => {
        session.unbind(() => {
          resolve();
          setTimeout(() => session.close(), 1_000);
        });
      });
    return Promise.all(this.sessions.map(gone));
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
      this.sessions = this.sessions.filter((other) => other !== session);
      this.held = this.held.filter((held) => held.session !== session);
    });
  }

  #received(session, pdu) {
    this.seen[pdu.command] = (this.seen[pdu.command] ?? 0) + 1;
    if (!this.sessions.includes(session) && !['unbind', 'enquire_link'].includes(pdu.command) && !BINDS[pdu.command]) {
      this.#fault(`${pdu.command} before a bind`);
    }
    switch (pdu.command) {
      case 'bind_transceiver':
      case 'bind_transmitter':
      case 'bind_receiver':
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
    this.bindTries.push(Date.now());
    const instead = this.bindAnswers.shift();
    if (instead === 'keep_silent') return undefined;
    if (instead) return session.send(pdu.response({ command_status: instead }));
    if (pdu.system_id !== 'smsbus' || pdu.password !== 'secret') {
      return session.send(pdu.response({ command_status: smpp.ESME_RBINDFAIL }));
    }
    if (pdu.interface_version !== 0x34) this.#fault(`interface_version 0x${pdu.interface_version.toString(16)}`);
    session.send(pdu.response({ system_id: 'node-smpp' }));
    session.mode = BINDS[pdu.command];
    this.sessions.push(session);
    this.binds += 1;
    this.emit('bound');
    for (const waiting of this.undelivered) this.#transmit(waiting);
    return undefined;
  }

  #submit(session, pdu) {
    if (session.mode === 'receiver') this.#fault('submit_sm from a receiver');
    const refusal = this.refuse(pdu);
    if (refusal) {
      this.refusals.push({ status: refusal, msisdn: pdu.destination_addr, at: Date.now() });
      session.send(pdu.response({ command_status: refusal }));
      return;
    }
    const message = {
      id: this.nextId++,
      session,
      msisdn: pdu.destination_addr,
      source: pdu.source_addr,
      ...this.#text(pdu),
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
      this.#show(message);
      if (message.receiptWanted) this.#finish(message, 'DELIVRD', '000');
      return;
    }
    this.submissions.push(message);
    const answer = this.answer(message);
    const fields = answer === 'lose' ? undefined : this.#charge(message);
    const response = fields && pdu.response(fields);
    this.emit('submission', message);
    switch (answer) {
      case 'lose':
      case 'keep_silent':
        return;
      case 'hold':
        this.held.push({ session, response, msisdn: message.msisdn });
        return;
      case 'hang_up':
        session.destroy();
        return;
      default:
        session.send(response);
    }
  }

  /** The text of a submission, and which part of a longer one it is: { text, part, octets, form }. */
  #text(pdu) {
    const { udh, message } = pdu.message_payload ?? pdu.short_message;
    const text = typeof message === 'string' ? message : message?.toString('latin1');
    const octets = text?.length * (pdu.data_coding === 8 ? 2 : 1);
    if (pdu.esm_class & UDHI) {
      // The package gives each element without the length of all.
      const [identifier, length, concatenation, total, number] = udh?.[0] ?? [];
      if (identifier !== 0 || length !== 3) this.#fault(`user data header ${udh?.map((one) => one.toString('hex'))}`);
      return { text, part: { concatenation, total, number }, octets: octets + 6, form: 'udh' };
    }
    if (pdu.sar_total_segments > 1) {
      const { sar_msg_ref_num: concatenation, sar_total_segments: total, sar_segment_seqnum: number } = pdu;
      return { text, part: { concatenation, total, number }, octets, form: 'sar' };
    }
    return { text, octets, form: pdu.message_payload === undefined ? 'whole' : 'payload' };
  }

  /** What the phone shows: parts are one text, once all of them are here. */
  #show(message) {
    const { msisdn, part } = message;
    if (part) {
      const key = `${msisdn}/${part.concatenation}/${part.total}`;
      const parts = this.parts.get(key) ?? new Map();
      this.parts.set(key, parts.set(part.number, message.text));
      if (parts.size < part.total) return;
      this.parts.delete(key);
      const inOrder = [...parts].sort(([one], [other]) => one - other);
      message = { ...message, text: inOrder.map(([, text]) => text).join('') };
    }
    this.inbox.set(msisdn, [...this.texts(msisdn), message]);
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
    const lastPart = !message.part || message.part.number === message.part.total;
    must(message.receiptWanted || !lastPart, 'no receipt is asked for');
    must(!message.tariff || !message.part, 'in parts, and each part would be charged');
    must(typeof message.text === 'string' && message.text.length > 0, 'no text');
    must(!message.part || message.octets <= SEGMENT_OCTETS_MAX, `a part of ${message.octets} octets`);
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
    else setTimeout(() => this.#deliver(receipt, message.session), 20);
  }

  #written(id, base) {
    return base === 'hex' ? id.toString(16).toUpperCase() : id.toString(10);
  }

  /**
   * Sends a `deliver_sm`, again on every new bind and after every refusal until it is acknowledged; if it can, on
   * another link than `away`.
   */
  #deliver(fields, away) {
    return new Promise((resolve) => {
      const waiting = { fields, away, resolve, tries: 0, done: false };
      this.undelivered.push(waiting);
      this.#transmit(waiting);
    });
  }

  #transmit(waiting) {
    const able = this.sessions.filter(({ mode }) => mode !== 'transmitter');
    const session = able.find((other) => other !== waiting.away) ?? able[0];
    if (!session || waiting.done) return;
    if (++waiting.tries > DELIVERY_TRIES_MAX) {
      this.#fault(`not acknowledged after ${DELIVERY_TRIES_MAX} tries: ${waiting.fields.short_message}`);
      return;
    }
    const addresses = { source_addr_ton: 1, source_addr_npi: 1, dest_addr_ton: 3, destination_addr: SHORT_NUMBER };
    if (waiting.away && session !== waiting.away) this.receiptsElsewhere += 1;
    session.deliver_sm({ ...addresses, ...waiting.fields }, (response) => {
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
