"""An ESME on smpplib against our simulator. Every check that fails ends the run with a message and exit status 1.

    client.py SMPP_ADDRESS CONTROL_ADDRESS
"""

import json
import re
import sys
import threading
import time
import urllib.request
import uuid
from importlib.metadata import version
from typing import Callable

import smpplib.client
from smpplib import consts, exceptions
from smpplib.command import Param, SubmitSM
from smpplib.ptypes import ostr

SHORT_NUMBER, RICH, POOR = "2505", "77051000001", "77051000002"
FARE_MINOR = 8000
DELIVERED = 2
SECONDS_MAX = 20

# The carrier's own parameters, as it would ask its partners to send them.
for name, tag in {"tariff": 0x1401, "charge_reference": 0x1402}.items():
    consts.OPTIONAL_PARAMS[name] = tag
    SubmitSM.params[name] = Param(type=ostr, max=64)
    SubmitSM.params_order = (*SubmitSM.params_order, name)


def must(condition: bool, what: str) -> None:
    if not condition:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


class Esme:
    """A client that notes what comes, and asks for nothing twice."""

    def __init__(self, address: str, password: str) -> None:
        host, port = address.rsplit(":", 1)
        self.responses: dict[int, object] = {}
        self.received: list[object] = []
        self.client = smpplib.client.Client(host, int(port), timeout=1, allow_unknown_opt_params=True)
        self.client.set_message_sent_handler(lambda pdu: self.responses.update({pdu.sequence: pdu}))
        self.client.set_query_resp_handler(lambda pdu: self.responses.update({pdu.sequence: pdu}))
        self.client.set_message_received_handler(lambda pdu: self.received.append(pdu))
        self.client.connect()
        try:
            self.client.bind_transceiver(system_id="smsbus", password=password)
        except exceptions.PDUError:
            self.client.disconnect()
            raise

    def until(self, what: str, ask: Callable[[], object]) -> object:
        end = time.monotonic() + SECONDS_MAX
        while not (answer := ask()):
            if time.monotonic() > end:
                sys.exit(f"FAILED: waited {SECONDS_MAX} s in vain for {what}")
            self.client.poll()
            time.sleep(0.02)
        return answer

    def send(self, msisdn: str, text: str, **parameters: object) -> str:
        """Submits a message and returns the id that the response gives it."""
        sent = self.client.send_message(
            source_addr_ton=consts.SMPP_TON_NWSPEC,
            source_addr=SHORT_NUMBER,
            dest_addr_ton=consts.SMPP_TON_INTL,
            dest_addr_npi=consts.SMPP_NPI_ISDN,
            destination_addr=msisdn,
            data_coding=consts.SMPP_ENCODING_ISO10646,
            short_message=text.encode("utf-16-be"),
            registered_delivery=1,
            **parameters,
        )
        response = self.until("submit_sm_resp", lambda: self.responses.get(sent.sequence))
        return response.message_id.decode()

    def charge(self, msisdn: str, reference: uuid.UUID) -> str:
        return self.send(msisdn, "Жолақы 80 ₸", tariff=b"BUS_80\0", charge_reference=reference.bytes)

    def receipt(self, message_id: str) -> dict[str, str]:
        def find() -> dict[str, str] | None:
            for pdu in self.received:
                fields = dict(re.findall(r"(id|stat|err):(\S+)", pdu.short_message.decode("ascii", "replace")))
                if pdu.esm_class & 0x3C == 0x04 and fields.get("id") == message_id:
                    return fields | {"tlv": (pdu.receipted_message_id or b"").decode()}
            return None

        return self.until(f"the receipt of {message_id}", find)


def control(address: str, path: str, body: object = None) -> object:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{address}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
        return json.load(answer)


def bind_is_checked(smpp: str) -> None:
    try:
        Esme(smpp, "wrong")
    except exceptions.PDUError as error:
        refusals = (consts.SMPP_ESME_RBINDFAIL, consts.SMPP_ESME_RINVPASWD)
        must(error.args[1] in refusals, f"a wrong password is refused: {error.args[0]}")
        return
    sys.exit("FAILED: a wrong password is taken")


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    smpp, http = sys.argv[1:]
    bind_is_checked(smpp)
    esme = Esme(smpp, "secret")
    must(esme.client.state == consts.SMPP_CLIENT_STATE_BOUND_TRX, "bound as a transceiver")

    text = esme.send(RICH, "Сәлем, автобус 92")
    receipt = esme.receipt(text)
    must(receipt["stat"] == "DELIVRD" and receipt["tlv"] == text, f"a text is delivered, id {text} in text and TLV")
    must(control(http, f"/inbox/%2B{RICH}")[-1]["text"] == "Сәлем, автобус 92", "the phone shows it in Kazakh")

    reference = uuid.uuid4()
    charged = esme.charge(RICH, reference)
    must(esme.receipt(charged)["stat"] == "DELIVRD", "a charged message is delivered")
    refused = esme.receipt(esme.charge(POOR, uuid.uuid4()))
    must(refused["stat"] == "UNDELIV", f"who has no money is not charged: err {refused['err']}")
    ledger = control(http, "/ledger")
    entries = [(entry["reference"], entry["amount"]["minor"], entry["message_id"]) for entry in ledger["entries"]]
    must(entries == [(str(reference), FARE_MINOR, charged)], "the ledger has the one charge, with its reference and id")

    source = {"source_addr_ton": 3, "source_addr_npi": 0, "source_addr": SHORT_NUMBER}
    query = esme.client.query_message(message_id=charged, **source)
    state = esme.until("query_sm_resp", lambda: esme.responses.get(query.sequence))
    must(state.message_state == DELIVERED, "query_sm says that it was delivered")

    # The control answers when the text is acknowledged, so it is asked beside the loop that acknowledges.
    reports: list[object] = []
    mo = {"msisdn": f"+{RICH}", "to": SHORT_NUMBER, "text": "Билет"}
    asking = threading.Thread(target=lambda: reports.append(control(http, "/mo", mo)), daemon=True)
    asking.start()
    sms = esme.until("an SMS from a phone", lambda: next((p for p in esme.received if p.esm_class & 0x3C == 0), None))
    must(sms.short_message.decode("utf-16-be") == "Билет", "an SMS from a phone arrives")
    must(sms.source_addr.decode() == RICH, "and says whose phone it was")
    esme.until("its acknowledgement", lambda: reports)
    must(reports[0]["outcome"] == "acknowledged", "and is acknowledged")

    esme.client.unbind()
    esme.client.disconnect()
    stats = control(http, "/stats")
    must(stats["malformed"] == 0, "the simulator could read everything")
    print(f"smpplib {version('smpplib')}, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
