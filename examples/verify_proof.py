#!/usr/bin/env python3
"""Verify the inclusion proof of a claim or a payment without the product: standard library and `cryptography` only.

    curl -H "Authorization: Bearer $TOKEN" $BASE/api/v1/claims/$CLAIM/proof/ > proof.json    # or payments/$PAYMENT/proof/
    curl $BASE/verify/keys/                                                                  # the public keys
    python examples/verify_proof.py proof.json --public-key 3b6a…

The page $BASE/verify/ lists the public keys too; a copy that you kept earlier, or got by another road, proves more.

The leaf is hashed, joined with its siblings up to the root (RFC 9162 §2.1.3.2), the root compared with the seal's, and the
seal's Ed25519 signature verified against the public key that you got from the platform by another road. Prints what was
claimed, or one line for each movement of a payment, and exits with 0. Exits with 1 and says why when anything differs, and
with 2 when the file or the key cannot be used.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNED = ("seq", "previous_root", "root", "from_xid", "to_xid", "count", "sums", "sealed_at")
SIGNED_2 = (*SIGNED, "version", "kinds", "position")  # of a seal that covers payments too
PROOF = {"leaf", "index", "path", "seal"}
KEYS = "The platform publishes its keys on its page /verify/ and, as JSON, at /verify/keys/."


class NotProvedError(ValueError):
    """The proof does not hold; the message says why."""


class WrongUseError(Exception):
    """The file or the key cannot be used; the message says what to do."""


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(proof: dict[str, Any]) -> bytes:
    """Return the root that the leaf and its path lead to; raise NotProvedError when they lead nowhere."""
    here = hashlib.sha256(b"\x00" + proof["leaf"].encode()).digest()
    index, last, path = proof["index"], proof["seal"]["count"] - 1, [bytes.fromhex(sibling) for sibling in proof["path"]]
    if not 0 <= index <= last:
        raise NotProvedError("the leaf's place is outside the seal")
    while last:
        if index % 2 or index < last:
            if not path:
                raise NotProvedError("the path is too short")
            here = node(path.pop(0), here) if index % 2 else node(here, path.pop(0))
        index, last = index // 2, last // 2
    if path:
        raise NotProvedError("the path is too long")
    return here


def check(proof: dict[str, Any], public_key: str) -> str:
    """Return a sentence on what is proved; raise NotProvedError when it is not."""
    seal = proof["seal"]
    if root_of(proof).hex() != seal["root"]:
        raise NotProvedError("the entry is not under this seal's root")
    names = SIGNED_2 if "version" in seal else SIGNED
    signed = json.dumps({name: seal[name] for name in names}, sort_keys=True, separators=(",", ":")).encode()
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(seal["signature"]), signed)
    except InvalidSignature:
        raise NotProvedError("the seal was not signed by this public key; if the platform has other keys, try them") from None
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


def check_file(content: Any, public_key: str) -> Iterator[tuple[bool, str]]:
    """Yield for each proof of the file whether it holds, and a sentence. Raises WrongUseError for a file of another kind."""
    if is_proof(content):
        yield check_proof("", content, public_key)
    elif is_payment(content):
        for movement in content["movements"]:
            name = f"movement {movement['id']}, {movement['kind']}: "
            expected = {0: movement["id"], 1: movement["kind"], 7: content["payment"]}
            yield check_proof(name, movement["proof"], public_key, expected)
    elif isinstance(content, dict) and content.keys() >= {"code", "detail"}:
        raise WrongUseError(f"the file is an error of the API, not a proof: {content['detail']}")
    else:
        raise WrongUseError("the file is not a proof. Save the answer of /api/v1/claims/{id}/proof/ or payments/{id}/proof/.")


def is_proof(content: Any) -> bool:
    """Return whether the content has the members of a proof."""
    return isinstance(content, dict) and content.keys() >= PROOF


def is_payment(content: Any) -> bool:
    """Return whether the content is a payment with the proofs of its movements, at least one."""
    movements = content.get("movements") if isinstance(content, dict) and "payment" in content else None
    return isinstance(movements, list) and movements != [] and all(map(is_movement, movements))


def is_movement(content: Any) -> bool:
    """Return whether the content is a movement of a payment with its proof."""
    return isinstance(content, dict) and content.keys() >= {"id", "kind"} and is_proof(content.get("proof"))


def check_proof(name: str, proof: dict[str, Any], public_key: str, expected: dict[int, Any] | None = None) -> tuple[bool, str]:
    """Return whether the proof holds and its leaf has the expected parts, and a sentence."""
    try:
        sentence = check(proof, public_key)
        leaf = json.loads(proof["leaf"])
        if any(leaf[index] != value for index, value in (expected or {}).items()):
            raise NotProvedError("the proof is that of another movement")
    except NotProvedError as error:
        return False, f"NOT PROVED: {name}{error}"
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return False, f"NOT PROVED: {name}the proof is malformed"
    return True, sentence


def read_file(path: Path) -> Any:
    """Return the content of a JSON file. Raises WrongUseError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WrongUseError(f"cannot read {path}: {error.strerror}. Name the file with the proof.") from error
    except ValueError as error:
        raise WrongUseError(f"{path} is not JSON. Download the proof again.") from error


def main() -> int:
    """Read the arguments, verify, say what came of it."""
    parser = argparse.ArgumentParser(description="Verify the inclusion proof of a claim or a payment.", epilog=KEYS)
    parser.add_argument("proof", type=Path, help="the JSON answer of /api/v1/claims/{id}/proof/ or payments/{id}/proof/")
    parser.add_argument("--public-key", required=True, help="a public key of the platform: 64 hex digits")
    arguments = parser.parse_args()
    try:
        if not re.fullmatch("[0-9a-fA-F]{64}", arguments.public_key):
            raise WrongUseError(f"a public key has 64 hex digits. {KEYS}")
        verdicts = list(check_file(read_file(arguments.proof), arguments.public_key))
    except WrongUseError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    for holds, sentence in verdicts:
        print(sentence, file=sys.stdout if holds else sys.stderr)
    return 0 if all(holds for holds, _ in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
