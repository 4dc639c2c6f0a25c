"""The four carriers, one of each kind: how each is simulated, how the daemon is told of it, and what goes wrong there."""

import json
from collections import namedtuple

SHORT_NUMBER = "2505"
CLIENT = "smsbus"
SECRET = "secret"
OTP = "4711"
# A request may be under way for so long; nothing here holds one up for longer.
IN_FLIGHT_MS = 8_000
QUERY = "{ first_after_ms = 1_000, interval_ms_max = 4_000 }"
PASSENGERS_MAX = 9
FARE = 80

# What a carrier keeps: a share in hundredths of a per cent and a part of each payment in tiyn; whether it adds the tax, and whether it
# gives its fee back with the money.
Fee = namedtuple("Fee", "hundredths fixed_minor vat returned")
# By the day on which they begin. One of each is in force; the others are there to be taken by mistake.
FEES = {
    "kcell": [("2020-01-01", Fee(500, 0, True, False)), ("2099-01-01", Fee(5_000, 0, True, False))],
    "beeline": [("2010-01-01", Fee(9_900, 0, True, True)), ("2020-01-01", Fee(475, 13, True, True))],
    "tele2": [("2020-01-01", Fee(700, 0, False, True))],
}
VAT = [("2009-01-01", 1_200), ("2026-01-01", 1_600), ("2099-01-01", 5_000)]
VAT_AGENCIES = ("almaty-1",)


class Carrier:
    """One carrier. Numbers are +7, the prefix, and seven digits."""

    def __init__(self, name, prefix, kind):
        self.name, self.prefix, self.kind = name, prefix, kind
        # Addresses: of the simulator's own listeners, and of the links that lead there.
        self.control = None
        self.links = {}

    def number(self, index):
        return f"+7{self.prefix}{1_000_000 + index:07}"

    def asks_for_otp(self, index):
        return self.kind == "camara" and index % 3 == 0

    @property
    def buys_by_webhook(self):
        return self.kind == "delivery"


def all_carriers():
    kinds = {"kcell": (701, "delivery"), "beeline": (705, "submission"), "tele2": (707, "camara"), "altel": (700, "cis")}
    return [Carrier(name, prefix, kind) for name, (prefix, kind) in kinds.items()]


def simulator_config(carrier, seed, callbacks, numbers):
    """The simulator's TOML. It calls back to the address `callbacks`."""
    at = carrier.kind if carrier.kind in ("delivery", "submission") else "submission"
    tariffs = [f"BUS{FARE * n} = {FARE * 100 * n}" for n in range(1, PASSENGERS_MAX + 1)]
    otps = [i for i in range(numbers) if carrier.asks_for_otp(i)]
    poor = [i for i in range(numbers) if i % 50 == 7]
    return "\n".join(
        [
            f"""
smpp_listen = "127.0.0.1:0"
control_listen = "127.0.0.1:0"
system_id = "{CLIENT}"
password = "{SECRET}"
seed = {seed}
message_id = "hex_then_decimal"
receipt_form = "both"
echo_user_message_reference = true
default_balance_minor = 1_000_000_000_000
delivery_delay_ms = {{ min = 50, max = 1_500 }}
response_delay_ms = {{ min = 20, max = 600 }}
charging.at = "{at}"
redelivery = {{ acknowledge_within_ms = 2_000, backoff_max_ms = 1_000, mo_tries_max = 60, mo_patience_ms = 60_000 }}
limits = {{ inbox_messages_max = 16 }}
[tariffs]
{chr(10).join(tariffs) if carrier.kind in ("delivery", "submission") else ""}
[http]
carrier = "{carrier.name}"
response_delay_ms = {{ min = 20, max = 600 }}
callbacks = {{ delay_ms = {{ min = 0, max = 500 }}, tries_max = 8, backoff_ms = 500, answer_within_ms = 2_000 }}
""",
            interface(carrier, callbacks),
            *[f'[subscribers."{carrier.number(i)}"]\nbalance_minor = 100' for i in poor if i not in otps],
            *[f'[subscribers."{carrier.number(i)}"]\nbalance_minor = 1_000_000_000\notp = "{OTP}"' for i in otps],
            *[rule(fault) for fault in faults(carrier)],
        ]
    )


def interface(carrier, callbacks):
    processing = 'answers = "processing"\nprocessing_ms = { min = 100, max = 1_500 }'
    if carrier.kind == "camara":
        return f"""
[http.camara]
listen = "127.0.0.1:0"
client_id = "{CLIENT}"
client_secret = "{SECRET}"
plain_sinks = true
{processing}
"""
    if carrier.kind == "cis":
        return f"""
[http.cis]
listen = "127.0.0.1:0"
secret = "{SECRET}"
notify_url = "http://{callbacks}/carriers/{carrier.name}/notify"
{processing}
[http.facts]
listen = "127.0.0.1:0"
secret = "{SECRET}"
"""
    return ""


def faults(carrier):
    """What goes wrong by itself, as (probability, restrictions, fault). Nothing here makes a carrier lie: its answers may be lost,
    late, spoilt or repeated, but what it says about money is so."""
    messages = [
        (0.02, {}, {"kind": "throttle"}),
        (0.05, {}, {"kind": "redeliver_mo"}),
        (0.05, {}, {"kind": "mo_response_lost"}),
        (0.01, {}, {"kind": "drop_link_after_submit"}),
        (0.05, {"traffic": "free"}, {"kind": "drop_response"}),
        (0.05, {"traffic": "free"}, {"kind": "mo_in_parts", "form": "udh8"}),
        (0.05, {}, {"kind": "mo_part_twice"}),
        (0.05, {}, {"kind": "duplicate_response"}),
    ]
    charges = {
        "delivery": [
            (0.03, {"kind": "drop_response"}),
            (0.05, {"kind": "delay_response", "ms": 3_500}),
            (0.02, {"kind": "system_error", "charged": True}),
            (0.01, {"kind": "system_error", "charged": False}),
            (0.10, {"kind": "receipt_before_response"}),
            (0.10, {"kind": "duplicate_receipt"}),
            (0.05, {"kind": "late_receipt", "ms": 4_000}),
            (0.05, {"kind": "late_receipt", "ms": 25_000}),
            (0.02, {"kind": "no_receipt"}),
            (0.02, {"kind": "empty_message_id"}),
        ],
        "submission": [
            (0.03, {"kind": "drop_response"}),
            (0.06, {"kind": "delay_response", "ms": 3_500}),
            (0.02, {"kind": "system_error", "charged": True}),
            (0.01, {"kind": "system_error", "charged": False}),
            (0.02, {"kind": "drop_link_before_charge"}),
            (0.10, {"kind": "duplicate_receipt"}),
        ],
    }
    requests = [
        (0.03, "http_reset_before", {}),
        (0.04, "http_reset_after", {}),
        (0.02, "http_time_out_before", {"ms": 4_000}),
        (0.03, "http_time_out_after", {"ms": 4_000}),
        (0.02, "http_error_before", {"status": 503}),
        (0.03, "http_error_after", {"status": 500}),
        (0.02, "http_late", {"ms": 4_000}),
        (0.03, "http_slow", {"ms": 4_000}),
        (0.01, "http_throttle", {"retry_after_s": 1}),
        (0.01, "http_token_expired", {}),
        (0.01, "http_duplicate", {"charged": True}),
        (0.02, "http_garbage", {}),
        (0.02, "http_truncated", {}),
        (0.10, "http_callback_first", {}),
        (0.10, "http_callback_twice", {}),
        (0.10, "http_callback_lost", {}),
    ]
    if carrier.kind in charges:
        return messages + [(odds, {"traffic": "charged"}, fault) for odds, fault in charges[carrier.kind]]
    return messages + [(odds, {}, {"kind": kind, **more}) for odds, kind, more in requests]


def rule(fault):
    odds, restrictions, what = fault
    lines = [f"{key} = {json.dumps(value)}" for key, value in restrictions.items()]
    inline = ", ".join(f"{key} = {json.dumps(value)}" for key, value in what.items())
    return "\n".join(["[[faults]]", f"probability = {odds}", *lines, f"fault = {{ {inline} }}"])


def daemon_section(carrier, callbacks):
    """What the daemon's configuration says of this carrier."""
    purchase = "webhook" if carrier.buys_by_webhook else "direct"
    text = f"""
[carriers.{carrier.name}]
short_number = "{SHORT_NUMBER}"
prefixes = [{carrier.prefix}]
purchase = "{purchase}"
fees = [{fees(carrier)}]
[carriers.{carrier.name}.smpp]
address = "{carrier.links['smpp'].address}"
system_id = "{CLIENT}"
password_file = "secret"
window = 20
tps = 200
response_timeout_ms = 2_500
enquire_after_ms = 2_000
reconnect_ms_max = 500
already_bound_wait_ms = 500
in_flight_delay_ms = {IN_FLIGHT_MS}
query = {QUERY}
breaker = {{ failures_max = 20, pause_ms = 500, pause_ms_max = 2_000 }}
message_id = {{ response = "hex", receipt_text = "decimal", receipt_tlv = "decimal" }}
binds = [{{ name = "one" }}, {{ name = "two" }}]
"""
    if carrier.kind in ("delivery", "submission"):
        return text + f"""
charged_at = "{carrier.kind}"
tariffs = [{{ tlvs = [
    {{ tag = 0x1401, type = "c_octet_string", value = "BUS{{major}}" }},
    {{ tag = 0x1402, type = "reference" }},
] }}]
[carriers.{carrier.name}.smpp.statuses]
0x450 = {{ rejected = "insufficient_balance" }}
[carriers.{carrier.name}.smpp.errs]
050 = "insufficient_balance"
"""
    if carrier.kind == "camara":
        base = f"http://{carrier.links['camara'].address}"
        return text + f"""
[carriers.{carrier.name}.camara]
billing_url = "{base}/carrier-billing/v0.5"
refund_url = "{base}/carrier-billing-refund/v0.3"
two_step = true
reservation_ms = 60_000
sink = "http://{callbacks}/carriers/{carrier.name}"
callback_token_files = ["secret"]
connect_timeout_ms = 1_000
response_timeout_ms = 2_500
tps = 200
in_flight_delay_ms = {IN_FLIGHT_MS}
query = {QUERY}
list = {{ clock_tolerance_ms = 1_000 }}
breaker = {{ failures_max = 20, pause_ms = 500, pause_ms_max = 2_000 }}
merchant = {{ name = "SMSBUS" }}
reasons = {{ "insufficient balance" = "insufficient_balance" }}
token = {{ url = "{base}/oauth2/token", client_id = "{CLIENT}", client_secret_file = "secret" }}
"""
    return text + f"""
[carriers.{carrier.name}.http]
profile = "cis.toml"
base_url = "http://{carrier.links['cis'].address}"
base_urls = {{ subscriber = "http://{carrier.links['facts'].address}" }}
callback_url = "http://{callbacks}/carriers/{carrier.name}"
secret_files = {{ sign = "secret" }}
tps = 200
"""


def fees(carrier):
    rows = [
        f'{{ from = "{begins}", percent = "{percent(fee.hundredths)}", fixed_minor = {fee.fixed_minor}, '
        f"vat = {json.dumps(fee.vat)}, returned = {json.dumps(fee.returned)} }}"
        for begins, fee in FEES.get(carrier.name, ())
    ]
    return ", ".join(rows)


def vat_section():
    rates = ", ".join(f'{{ from = "{begins}", percent = "{percent(rate)}" }}' for begins, rate in VAT)
    return f"[vat]\nrates = [{rates}]\nagencies = {json.dumps(VAT_AGENCIES)}\n"


def percent(hundredths):
    return f"{hundredths // 100}.{hundredths % 100:02}"


def profile(text):
    """The shipped profile with the times of this test."""
    for old, new in {
        "in_flight_delay_ms = 60_000": f"in_flight_delay_ms = {IN_FLIGHT_MS}",
        "query = { first_after_ms = 2_000, interval_ms_max = 60_000 }": f"query = {QUERY}",
        "connect_timeout_ms = 3_000": "connect_timeout_ms = 1_000",
        "timeout_ms = 10_000": "timeout_ms = 2_500",
    }.items():
        if old not in text:
            raise SystemExit(f"the profile of the examples has no line {old!r} any more")
        text = text.replace(old, new)
    return text
