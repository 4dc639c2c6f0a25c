'use strict';
// What scenarios look at: the phones of the SMSC, the charges of the daemon.

const assert = require('node:assert/strict');
const { until } = require('../daemon');
const { checkTicket } = require('../passengers');

async function ticketOf(smsc, rider, seconds) {
  const [ticket] = await until(`${rider} has a ticket`, () => smsc.texts(rider).length && smsc.texts(rider), seconds);
  assert.equal(ticket.dataCoding, 8, 'a Russian ticket travels in UCS-2');
  checkTicket(ticket.text);
  return ticket;
}

const states = async (daemon, rider) => (await daemon.charges(rider)).map((charge) => charge.state);

module.exports = { ticketOf, states };
