"""Tickets as somebody else verifies them: CBOR, COSE_Sign1 and Ed25519 from their specifications (RFC 8949, 9052, 8032), slow and plain."""

import base64
import hashlib

BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
PREFIX = "SB1:"
CWT_TAG, SIGN1_TAG = 61, 18
KID, EXP, IAT, CTI, PRIVATE = 4, 4, 6, 7, -65537
PASSENGERS, AMOUNT, VEHICLE = 2, 3, 6


class BadTicket(Exception):
    pass


def from_text(text):
    """The bytes in a QR code's text (RFC 9285)."""
    if not text.startswith(PREFIX):
        raise BadTicket(f"does not begin with {PREFIX}")
    try:
        digits = [BASE45.index(letter) for letter in text[len(PREFIX):]]
    except ValueError as error:
        raise BadTicket("not base45") from error
    data = bytearray()
    for at in range(0, len(digits), 3):
        group = digits[at:at + 3]
        value = sum(digit * 45**power for power, digit in enumerate(group))
        data += value.to_bytes(2 if len(group) == 3 else 1, "big")
    return bytes(data)


class Verifier:
    """Knows the keys of a JWKS and nothing else."""

    def __init__(self, jwks):
        self.keys, self.known = {}, {}
        for key in jwks["keys"]:
            raw = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
            self.keys[hashlib.sha256(raw).digest()[:8]] = raw

    def claims(self, cose):
        """The claims of a ticket that is genuine. Raises BadTicket."""
        if cose not in self.known:
            self.known[cose] = self.verified(cose)
        return self.known[cose]

    def verified(self, cose):
        try:
            message, rest = decode(cose)
            for tag in (CWT_TAG, SIGN1_TAG):
                if isinstance(message, Tagged) and message.tag == tag:
                    message = message.value
            protected, unprotected, payload, signature = message
            header = {**decode(protected)[0], **unprotected}
            key = self.keys[header[KID]]
            claims = decode(payload)[0]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise BadTicket(f"not a ticket of ours: {error!r}") from error
        if rest:
            raise BadTicket("something follows the ticket")
        signed = b"\x84" + head(3, 10) + b"Signature1" + string(protected) + string(b"") + string(payload)
        if not ed25519_verifies(key, signed, signature):
            raise BadTicket("the signature is wrong")
        return claims


# --- CBOR, as much as a ticket has of it --------------------------------------------------------------------------------------


class Tagged:
    def __init__(self, tag, value):
        self.tag, self.value = tag, value


def head(major, count):
    if count < 24:
        return bytes([major << 5 | count])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if count < 256**size:
            return bytes([major << 5 | code]) + count.to_bytes(size, "big")
    raise ValueError("too large")


def string(data):
    return head(2, len(data)) + data


def decode(data):
    """A value, and what follows it."""
    first, data = data[0], data[1:]
    major, code = first >> 5, first & 31
    count = code
    if 24 <= code <= 27:
        size = 2 ** (code - 24)
        count, data = int.from_bytes(data[:size], "big"), data[size:]
    elif code > 27:
        raise ValueError("a length that is not definite")
    if major == 0:
        return count, data
    if major == 1:
        return -1 - count, data
    if major in (2, 3):
        if len(data) < count:
            raise ValueError("cut off")
        text = data[:count]
        return (text if major == 2 else text.decode()), data[count:]
    if major in (4, 5):
        items = []
        for _ in range(count * (major - 3)):
            item, data = decode(data)
            items.append(item)
        return (items if major == 4 else dict(zip(items[::2], items[1::2]))), data
    if major == 6:
        value, data = decode(data)
        return Tagged(count, value), data
    raise ValueError("neither number, text, list nor map")


# --- Ed25519 ------------------------------------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(a, b):
    """Of points in extended coordinates (RFC 8032, 5.1.4)."""
    s, t = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = t - s, d - c, d + c, t + s
    return e * f % P, g * h % P, f * g % P, e * h % P


def decompress(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        raise BadTicket("no point of the curve")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = decompress(bytes([0x58]) + bytes([0x66]) * 31)
# Multiples of the base point and of each key, made once: for each octet of a number, the point that it stands for.
MULTIPLES = {}


def times_known(number, name, point):
    if name not in MULTIPLES:
        MULTIPLES[name] = tables = []
        for _ in range(32):
            table = [(0, 1, 1, 0)]
            while len(table) < 256:
                table.append(add(table[-1], point))
            tables.append(table)
            point = add(table[-1], point)
    sum_ = (0, 1, 1, 0)
    for octet, table in zip(number.to_bytes(32, "little"), MULTIPLES[name]):
        if octet:
            sum_ = add(sum_, table[octet])
    return sum_


def ed25519_verifies(key, message, signature):
    if len(signature) != 64:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= L:
        return False
    digest = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left = times_known(scalar, b"base", BASE)
    right = add(decompress(signature[:32]), times_known(digest, key, decompress(key)))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0
