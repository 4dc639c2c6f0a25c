#!/usr/bin/env python3
"""Verifies our tickets with other people's software.

    scripts/third-party/tickets

buys tickets from a running daemon and calls this. The samples of the unit tests, the longest ticket among them, need no
daemon:

    SMSBUSD_TICKET_SAMPLES=DIR cargo test --lib a_verifier_needs_nothing_but_the_published_files
    python3 -m venv VENV && VENV/bin/pip install cwt pycose base45 cairosvg opencv-python-headless zxing-cpp
    VENV/bin/python scripts/third-party/ticket-verify.py DIR

What is checked: the key set under its pinned root and the tickets under its keys (pycose and cwt, two implementations
of COSE), the JWS under the JWKS (cryptography), the QR codes from their SVG and PNG (cairo draws, OpenCV and ZXing read), the
text in them (base45), and the claims against what the API answered, if it was asked. Every check that fails ends the
run with a message and exit status 1.
"""

import base64
import json
import sys
import uuid
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import base45
import cairosvg
import cbor2
import cv2
import cwt
import numpy
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

PRIVATE_CLAIM = -65537
PRIVATE_FIELDS = {"fare_class": 1, "passengers": 2, "city": 5, "vehicle": 6, "route": 7}
AMOUNT = 3
CWT_CLAIMS_HEADER, EXP, CTI, COSE_KEY_SET = 15, 4, 7, 102
SOFTWARE = ["pycose", "cwt", "cryptography", "base45", "cairosvg", "opencv-python-headless", "zxing-cpp"]


def unbase64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def must(condition: bool, what: str) -> None:
    if not condition:
        sys.exit(f"FAILED: {what}")
    print(f"ok: {what}")


def pycose_verifies(message: bytes, public_key: bytes) -> bool:
    sign1 = Sign1Message.decode(message)
    sign1.key = OKPKey(crv=Ed25519, x=public_key)
    return sign1.verify_signature()


def key_set(folder: Path) -> dict[bytes, bytes]:
    """The keys by id, once the pinned root has vouched for them."""
    signed = (folder / "key-set.cose").read_bytes()
    root = unbase64url((folder / "root.pub").read_text())
    must(pycose_verifies(signed, root), "pycose: the root signed the key set")
    protected, _, payload, _ = cbor2.loads(signed).value
    header = cbor2.loads(protected)
    must(header[3] == COSE_KEY_SET, "the key set says that it is a COSE_KeySet")
    must(header[CWT_CLAIMS_HEADER][EXP] > 0, "the key set has an expiry")
    keys = {key[2]: key[-2] for key in cbor2.loads(payload)}
    jwks = json.loads((folder / "jwks.json").read_text())["keys"]
    must({unbase64url(k["kid"]): unbase64url(k["x"]) for k in jwks} == keys, "JWKS and COSE key set hold the same keys")
    return keys


def verify_ticket(name: str, message: bytes, keys: dict[bytes, bytes]) -> dict:
    kid = cbor2.loads(cbor2.loads(message).value[0])[4]
    must(kid in keys, f"{name}: its key is in the key set")
    must(pycose_verifies(message, keys[kid]), f"{name}: pycose verifies it")
    damaged = bytearray(message)
    damaged[40] ^= 1
    must(not pycose_verifies(bytes(damaged), keys[kid]), f"{name}: pycose refuses it with one bit flipped")

    cose_key = cwt.COSEKey.new({1: 1, 2: kid, 3: -8, -1: 6, -2: keys[kid]})
    claims = cbor2.loads(cwt.COSE.new().decode(message, cose_key))
    must(len(claims[CTI]) == 16 and PRIVATE_CLAIM in claims, f"{name}: cwt verifies it and reads its claims")
    print(f"    {len(message)} bytes: {claims}")
    return claims


def verify_jws(name: str, jws: str, keys: dict[bytes, bytes], reference: bytes) -> None:
    head, body, signature = jws.split(".")
    kid = unbase64url(json.loads(unbase64url(head))["kid"])
    Ed25519PublicKey.from_public_bytes(keys[kid]).verify(unbase64url(signature), f"{head}.{body}".encode())
    named = uuid.UUID(json.loads(unbase64url(body))["jti"])
    must(named.bytes == reference, f"{name}: cryptography verifies the JWS, which is of the same ticket")


def compare(name: str, message: bytes, claims: dict, charge: dict) -> None:
    """The ticket says what the API says of its charge, and not whose phone paid."""
    must(charge["state"] == "charged", f"{name}: the charge is charged")
    must(claims[CTI] == uuid.UUID(charge["reference"]).bytes, f"{name}: it has the charge's reference")
    expires_at = datetime.fromisoformat(charge["ticket"]["expires_at"]).timestamp()
    must(claims[EXP] == int(expires_at), f"{name}: it expires when the API says, {charge['ticket']['expires_at']}")
    ours = claims[PRIVATE_CLAIM]
    for field, key in PRIVATE_FIELDS.items():
        must(ours[key] == charge[field], f"{name}: {field} {charge[field]}")
    must(ours[AMOUNT] == charge["amount"]["minor"], f"{name}: amount {charge['amount']}")
    number = charge["msisdn"].removeprefix("+")
    must(number.encode() not in message and int(number) not in ours.values(), f"{name}: no MSISDN in it")


def drawn(svg: Path, pixels: int) -> bytes:
    return cairosvg.svg2png(url=str(svg), output_width=pixels, output_height=pixels)


def verify_qr_codes(name: str, pictures: dict[str, bytes], text: str) -> None:
    """ZXing reads every picture. OpenCV's detector finds some four of five codes, whoever drew them: it must read one picture, and none
    wrongly."""
    seen_by_opencv = set()
    for what, png in pictures.items():
        picture = cv2.imdecode(numpy.frombuffer(png, dtype=numpy.uint8), cv2.IMREAD_GRAYSCALE)
        found = zxingcpp.read_barcode(picture)
        must(found is not None and found.text == text, f"{name}: ZXing reads the QR code, {what}")
        seen_by_opencv.add(cv2.QRCodeDetector().detectAndDecode(picture)[0])
    must(text in seen_by_opencv and seen_by_opencv <= {text, ""}, f"{name}: OpenCV reads the QR code")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    keys = key_set(folder)
    for file in sorted(folder.glob("*.cose")):
        name, message = file.stem, file.read_bytes()
        if name == "key-set":
            continue
        claims = verify_ticket(name, message, keys)
        text = file.with_suffix(".txt").read_text()
        must(base45.b45decode(text.removeprefix("SB1:")) == message, f"{name}: base45 of another make agrees")
        pictures = {f"SVG at {pixels} pixels": drawn(file.with_suffix(".svg"), pixels) for pixels in range(400, 1001, 100)}
        if (png := file.with_suffix(".png")).exists():
            pictures["PNG"] = png.read_bytes()
        verify_qr_codes(name, pictures, text)
        if (jws := file.with_suffix(".jws")).exists():
            verify_jws(name, jws.read_text(), keys, claims[CTI])
        if (charge := file.with_suffix(".json")).exists():
            compare(name, message, claims, json.loads(charge.read_text()))
    print("all verified:", ", ".join(f"{name} {version(name)}" for name in SOFTWARE))


if __name__ == "__main__":
    main()
