'use strict';
// What makes a carrier of a mock. Prism answers every request with the file's example: always the same payment of 100 EUR by a
// number in Spain. Here its answers get what the file says that a carrier repeats ("Same value as indicated in the request"),
// ids of their own, and the status that a scenario wants next. All else stays as Prism made it.

class Memory {
  constructor() {
    this.payments = new Map();
    /** By phone: what a scenario wants of it. See `wish`. */
    this.wishes = new Map();
    this.lastId = 0;
  }

  /**
   * What a phone's carrier does. `statuses`: of its payment, one after another as it is created and retrieved, the last for good.
   * `refundStatuses`: the same of its refunds. `prefer`: { operation: [what Prism is to answer, …] }, one for each request; then
   * its plain answer. `refusedButDone`: operations that are done although an error is answered. `lose`: operations whose first
   * answer is lost. `validation`: it wants a password. Whoever is not known here gets Prism's answers as they are.
   */
  wish(msisdn, wish) {
    const copies = Object.entries(wish.prefer ?? {}).map(([operation, answers]) => [operation, [...answers]]);
    this.wishes.set(msisdn, { ...wish, prefer: Object.fromEntries(copies), lose: [...(wish.lose ?? [])] });
  }

  wishOf({ operation, asked }) {
    return this.wishes.get(this.msisdnOf({ operation, asked }));
  }

  msisdnOf({ operation, asked }) {
    const payment = this.payments.get(operation.parameters.paymentId);
    return payment?.transaction.phoneNumber ?? asked?.amountTransaction?.phoneNumber ?? asked?.phoneNumber;
  }

  /** What Prism is asked to answer. */
  plan(exchange) {
    return { prefer: this.wishOf(exchange)?.prefer[exchange.operation.id]?.shift() };
  }

  /** What becomes of Prism's answer. */
  change(exchange, answer) {
    const wish = this.wishOf(exchange);
    const { id } = exchange.operation;
    const isDone = answer.status < 300 || wish?.refusedButDone?.includes(id);
    const changed = (isDone && this.changes[id]?.call(this, exchange, wish)) || {};
    const nth = wish ? wish.lose.indexOf(id) : -1;
    if (nth >= 0) wish.lose.splice(nth, 1);
    return { ...(answer.status < 300 && changed), lose: nth >= 0 };
  }

  changes = {
    createPayment: (exchange, wish) => wish && this.created(exchange, wish),
    preparePayment: (exchange, wish) => wish && this.created(exchange, wish),
    retrievePayment: (exchange) => this.of(exchange, (payment) => ({ body: payment.seen(exchange.answered) })),
    retrievePayments: (exchange) => this.listed(exchange),
    validatePayment: (exchange) => this.of(exchange, (payment) => payment.goesOnTo(['reserved'])),
    confirmPayment: (exchange, wish) => this.of(exchange, (payment) => payment.goesOnTo(wish.confirmed ?? ['succeeded'])),
    cancelPayment: (exchange, wish) => this.of(exchange, (payment) => payment.goesOnTo(wish.cancelled ?? ['cancelled'])),
    createRefund: (exchange, wish) => this.of(exchange, (payment) => this.refunded(payment, exchange, wish)),
    retrieveRefund: (exchange) => this.of(exchange, (payment) => payment.refundSeen(exchange)),
    retrieveRefunds: (exchange) => this.of(exchange, (payment) => payment.refundsSeen()),
    retrievePaymentRemainingAmount: (exchange) => this.of(exchange, (payment) => ({ body: payment.remaining() })),
  };

  of({ operation }, act) {
    const payment = this.payments.get(operation.parameters.paymentId);
    return payment && act(payment);
  }

  created({ asked, answered }, wish) {
    const payment = new Payment(`mock-${(this.lastId += 1)}`, asked, wish);
    this.payments.set(payment.id, payment);
    return { body: payment.seen(answered) };
  }

  listed({ query, answered }) {
    // A carrier that nobody has asked for anything is Prism's own.
    if (this.payments.size === 0) return {};
    const from = query.get('paymentCreationDate.gte');
    const payments = [...this.payments.values()].filter(({ createdAt }) => !from || createdAt >= new Date(from));
    const body = payments.map((payment) => payment.seen(answered[0]));
    return { body, headers: { 'x-total-count': String(body.length) } };
  }

  refunded(payment, { asked, answered }, wish) {
    const id = `mock-refund-${(this.lastId += 1)}`;
    return payment.refund({ id, asked, answered: answered ?? {}, statuses: wish.refundStatuses ?? ['succeeded'] });
  }
}

class Payment {
  constructor(id, { amountTransaction, sink }, { statuses, validation }) {
    Object.assign(this, { id, sink, transaction: amountTransaction, statuses: [...statuses], validation });
    this.createdAt = new Date();
    this.refunds = [];
  }

  /** What it says from now on. */
  goesOnTo(statuses) {
    this.statuses = [...statuses];
  }

  /** From this status to another, if it still has it. */
  moves(from, to) {
    if (this.statuses[0] === from) this.goesOnTo([to]);
  }

  /** One of Prism's payments, as this one. */
  seen(example) {
    const { sink: _, validationInfo, ...rest } = example ?? {};
    const paymentStatus = next(this.statuses);
    return {
      ...rest,
      paymentId: this.id,
      paymentStatus,
      amountTransaction: { ...rest.amountTransaction, ...this.transaction },
      paymentCreationDate: this.createdAt.toISOString(),
      ...(this.sink && { sink: this.sink }),
      ...(this.validation && validationInfo && { validationInfo }),
    };
  }

  refund({ id, asked, answered, statuses }) {
    const { sink: _, reason: __, amountTransaction, ...rest } = answered;
    const refund = {
      ...rest,
      refundId: id,
      type: asked.type,
      amountTransaction: { ...asked.amountTransaction },
      refundCreationDate: new Date().toISOString(),
      refundStatus: 'processing',
    };
    this.refunds.push({ refund, statuses: [...statuses] });
    return { body: this.seenRefund(this.refunds.at(-1)) };
  }

  seenRefund(entry) {
    entry.refund.refundStatus = next(entry.statuses);
    return { ...entry.refund };
  }

  refundSeen({ operation }) {
    const entry = this.refunds.find(({ refund }) => refund.refundId === operation.parameters.refundId);
    return entry && { body: this.seenRefund(entry) };
  }

  refundsSeen() {
    const body = this.refunds.map((entry) => this.seenRefund(entry));
    return { body, headers: { 'x-total-count': String(body.length) } };
  }

  remaining() {
    const { amount, currency } = this.transaction.paymentAmount.chargingInformation;
    const back = ({ type, amountTransaction }) =>
      type === 'total' ? amount : amountTransaction.refundAmount.chargingInformation.amount;
    return { amount: this.refunds.reduce((left, { refund }) => left - back(refund), amount), currency };
  }
}

/** The next of a list whose last one stays. */
function next(statuses) {
  return statuses.length > 1 ? statuses.shift() : statuses[0];
}

module.exports = { Memory };
