"""The exact bytes that are hashed and signed, and the keys that sign them."""

import hashlib
import json
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

from wallet.ledger.models import Seal

# The columns of an entry in its leaf, in the order in which they are hashed.
LEAF_COLUMNS = (
    "id",
    "kind",
    "asset_id",
    "user_id",
    "amount",
    "currency",
    "claimed_at",
    "request_key",
    "actor_id",
    "xid",
)


def format_signed_timestamp(moment: datetime) -> str:
    """Return a timestamp as it is hashed: RFC 3339 in UTC, always with six decimals."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def leaf_data(row: tuple[Any, ...]) -> bytes:
    """Return the bytes of one entry's leaf: a JSON array of LEAF_COLUMNS, without spaces, in ASCII, amounts with 4 decimals."""
    entry, kind, asset, user, amount, currency, claimed_at, request_key, actor, xid = row
    # Formatted by hand for speed, a ledger has millions of rows: only the request key may need JSON escapes.
    key = "null" if request_key is None else encode_basestring_ascii(request_key)
    return (
        f'["{entry}","{kind}","{asset}","{user}","{amount:.4f}","{currency}","{format_signed_timestamp(claimed_at)}",{key},"{actor}",{xid}]'
    ).encode()


def signed_data(seal: Seal) -> bytes:
    """Return the bytes that a seal's signature covers: JSON with sorted keys, without spaces, in ASCII."""
    return json.dumps(seal_statement(seal), sort_keys=True, separators=(",", ":")).encode()


def seal_statement(seal: Seal) -> dict[str, Any]:
    """Return the signed content of a seal, in JSON types."""
    stated = {
        "seq": seal.seq,
        "previous_root": bytes(seal.previous_root).hex(),
        "root": bytes(seal.root).hex(),
        "from_xid": seal.from_xid,
        "to_xid": seal.to_xid,
        "count": seal.count,
        "sums": json.loads(seal.sums),
        "sealed_at": format_signed_timestamp(seal.sealed_at),
    }
    if seal.version == 1:
        return stated
    return stated | {
        "version": seal.version,
        "kinds": json.loads(seal.kinds or ""),
        "position": json.loads(seal.position or ""),
    }


def published_seal(seal: Seal) -> dict[str, Any]:
    """Return a seal for publication outside the database: its signed content with key and signature."""
    return seal_statement(seal) | {"public_key": bytes(seal.public_key).hex(), "signature": bytes(seal.signature).hex()}


def private_key() -> Ed25519PrivateKey:
    """Return the signing key: Ed25519 (RFC 8032) from the SHA-256 of SEAL_SIGNING_KEY."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(settings.SEAL_SIGNING_KEY.encode()).digest())


def public_key() -> bytes:
    """Return the 32 bytes of the public key that verifies our signatures."""
    return private_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def trusted_keys() -> set[bytes]:
    """Return the public keys that are trusted: the current one and the former ones in SEAL_PUBLIC_KEYS."""
    return {public_key(), *(bytes.fromhex(key) for key in settings.SEAL_PUBLIC_KEYS)}


def sign_seal(seal: Seal) -> None:
    """Set the public key and the signature of a seal."""
    seal.public_key, seal.signature = public_key(), private_key().sign(signed_data(seal))


def is_signature_valid(seal: Seal) -> bool:
    """Return whether a seal has a valid signature of a trusted key."""
    key = bytes(seal.public_key)
    if key not in trusted_keys():
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(bytes(seal.signature), signed_data(seal))
    except InvalidSignature:
        return False
    return True
