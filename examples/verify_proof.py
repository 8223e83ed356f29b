#!/usr/bin/env python3
"""Verify a claim's inclusion proof without the product: standard library and `cryptography` only.

    curl -H "Authorization: Bearer $TOKEN" $BASE/api/v1/claims/$CLAIM/proof/ > proof.json
    python examples/verify_proof.py proof.json --public-key 3b6a…

The public keys are at $BASE/verify/keys/; a copy that you kept earlier, or got by another road, proves more.

The leaf is hashed, joined with its siblings up to the root (RFC 9162 §2.1.3.2), the root compared with the seal's, and the
seal's Ed25519 signature verified against the public key that you got from the platform by another road. Prints what was
claimed and exits 0; exits 1 and says why when anything differs.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNED = ("seq", "previous_root", "root", "from_xid", "to_xid", "count", "sums", "sealed_at")
SIGNED_2 = (*SIGNED, "version", "kinds", "position")  # of a seal that covers payments too


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(proof: dict[str, Any]) -> bytes:
    """Return the root that the leaf and its path lead to; raise ValueError when they lead nowhere."""
    here = hashlib.sha256(b"\x00" + proof["leaf"].encode()).digest()
    index, last, path = proof["index"], proof["seal"]["count"] - 1, [bytes.fromhex(sibling) for sibling in proof["path"]]
    if not 0 <= index <= last:
        raise ValueError("the leaf's place is outside the seal")
    while last:
        if index % 2 or index < last:
            if not path:
                raise ValueError("the path is too short")
            here = node(path.pop(0), here) if index % 2 else node(here, path.pop(0))
        index, last = index // 2, last // 2
    if path:
        raise ValueError("the path is too long")
    return here


def check(proof: dict[str, Any], public_key: str) -> str:
    """Return a sentence on what is proved; raise ValueError when it is not."""
    seal = proof["seal"]
    if root_of(proof).hex() != seal["root"]:
        raise ValueError("the claim is not under this seal's root")
    names = SIGNED_2 if "version" in seal else SIGNED
    signed = json.dumps({name: seal[name] for name in names}, sort_keys=True, separators=(",", ":")).encode()
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(seal["signature"]), signed)
    except InvalidSignature:
        raise ValueError("the seal was not signed by this public key") from None
    leaf = json.loads(proof["leaf"])
    if leaf[1] != "CLAIM":
        return explain_movement(leaf, seal["seq"])
    entry, _, asset, user, amount, currency, claimed_at, *_ = leaf
    return f"Entry {entry}: user {user} claimed asset {asset}, {amount} {currency}, at {claimed_at}; under seal {seal['seq']}."


def explain_movement(leaf: list[Any], seq: int) -> str:
    """Return a sentence on a movement of a payment or of a claim: who, how much, for which order, with which credits."""
    movement, kind, user, currency, number, amount, at, payment, claim, service, reference, *_, postings = leaf
    what = f"payment {payment} at service {service}, reference {reference}" if payment else f"claim {claim}"
    credits_ = ", ".join(f"{share} {currency} of credit {lot}" for _, lot, share, _ in postings)
    return (
        f"Movement {movement}, number {number} of user {user} in {currency}: {kind} of {amount} for {what}, at {at},"
        f" by {credits_}; under seal {seq}."
    )


def main() -> int:
    """Read the arguments, verify, say what came of it."""
    parser = argparse.ArgumentParser(description="Verify a claim's inclusion proof.")
    parser.add_argument("proof", type=Path, help="the JSON answer of /api/v1/claims/{id}/proof/")
    parser.add_argument("--public-key", required=True, help="64 hex digits: manage.py seal_ledger --public-key prints them")
    arguments = parser.parse_args()
    try:
        print(check(json.loads(arguments.proof.read_text()), arguments.public_key))
    except (ValueError, KeyError, TypeError) as error:
        print(f"NOT PROVED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
