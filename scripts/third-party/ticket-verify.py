#!/usr/bin/env python3
"""Verifies our tickets with other people's software.

    SMSBUSD_TICKET_SAMPLES=DIR cargo test --lib a_verifier_needs_nothing_but_the_published_files
    python3 -m venv VENV && VENV/bin/pip install cwt pycose base45 cairosvg opencv-python-headless
    VENV/bin/python scripts/third-party/ticket-verify.py DIR

What is checked: the key set under its pinned root and the tickets under its keys (pycose and cwt, two implementations
of COSE), the JWS under the JWKS (cryptography), the QR codes from their SVG (cairo draws, OpenCV reads), the text in
them (base45). Every check that fails ends the run with a message and exit status 1.
"""

import base64
import json
import sys
from pathlib import Path

import base45
import cairosvg
import cbor2
import cv2
import cwt
import numpy
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

PRIVATE_CLAIM = -65537
CWT_CLAIMS_HEADER, EXP, COSE_KEY_SET = 15, 4, 102


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


def verify_ticket(name: str, message: bytes, keys: dict[bytes, bytes]) -> None:
    kid = cbor2.loads(cbor2.loads(message).value[0])[4]
    must(kid in keys, f"{name}: its key is in the key set")
    must(pycose_verifies(message, keys[kid]), f"{name}: pycose verifies it")
    damaged = bytearray(message)
    damaged[40] ^= 1
    must(not pycose_verifies(bytes(damaged), keys[kid]), f"{name}: pycose refuses it with one bit flipped")

    cose_key = cwt.COSEKey.new({1: 1, 2: kid, 3: -8, -1: 6, -2: keys[kid]})
    claims = cbor2.loads(cwt.COSE.new().decode(message, cose_key))
    must(len(claims[7]) == 16 and PRIVATE_CLAIM in claims, f"{name}: cwt verifies it and reads its claims")
    print(f"    {len(message)} bytes: {claims}")


def verify_jws(folder: Path, keys: dict[bytes, bytes]) -> None:
    head, body, signature = (folder / "ticket.jws").read_text().split(".")
    kid = unbase64url(json.loads(unbase64url(head))["kid"])
    Ed25519PublicKey.from_public_bytes(keys[kid]).verify(unbase64url(signature), f"{head}.{body}".encode())
    must(True, f"JWS: cryptography verifies it, {json.loads(unbase64url(body))['jti']}")


def scan(svg: Path, pixels: int) -> str:
    png = cairosvg.svg2png(url=str(svg), output_width=pixels, output_height=pixels)
    picture = cv2.imdecode(numpy.frombuffer(png, dtype=numpy.uint8), cv2.IMREAD_GRAYSCALE)
    return cv2.QRCodeDetector().detectAndDecode(picture)[0]


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    keys = key_set(folder)
    for name in ["ticket", "worst"]:
        message = (folder / f"{name}.cose").read_bytes()
        verify_ticket(name, message, keys)
        text = (folder / f"{name}.txt").read_text()
        must(base45.b45decode(text.removeprefix("SB1:")) == message, f"{name}: base45 of another make agrees")
        for pixels in [400, 800]:
            must(scan(folder / f"{name}.svg", pixels) == text, f"{name}: OpenCV reads the QR code at {pixels} pixels")
    verify_jws(folder, keys)


if __name__ == "__main__":
    main()
