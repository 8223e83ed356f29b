"""Export rows of pools, seals, issues and changes, keyed by column."""

import json
from typing import Any

from kernel.timestamps import format_timestamp
from wallet.ledger.models import Seal
from wallet.money import format_amount

POOL_WINDOW = ("opens_at", "closes_at", "active", "time_zone")
POOL_COLUMNS = ("pool", "name", "kind", "currency", "per_user_limit", *POOL_WINDOW, "issued", "available", "claimed", "expired")
SEAL_COLUMNS = (
    "seal",
    "sealed_at",
    "entries",
    "sums",
    "from_xid",
    "to_xid",
    "root",
    "previous_root",
    "public_key",
    "signature",
)
MALFORMED = "malformed"
ISSUE_COLUMNS = ("issued_at", "count", "value", "currency", "pool", "issued_by", "channel")
CHANGE_COLUMNS = ("at", "action", "who", "channel", "asset", "title", "value", "currency", "status", "pool", "expires_at")


def pool_line(pool: Any) -> dict[str, Any]:
    """Return a pool with the number of its credits in each status."""
    return {
        "pool": pool.pk,
        "name": pool.name,
        "kind": pool.kind,
        "currency": pool.currency,
        "per_user_limit": pool.per_user_limit,
        "opens_at": format_timestamp(pool.opens_at),
        "closes_at": format_timestamp(pool.closes_at),
        "active": "yes" if pool.is_active else "no",
        "time_zone": pool.time_zone,
        "issued": pool.issued_now,
        "available": pool.available,
        "claimed": pool.claimed_now,
        "expired": expired_unclaimed(pool),
    }


def expired_unclaimed(pool: Any) -> int:
    """Return the number of the pool's credits that expired unclaimed."""
    return int(pool.issued_now - pool.available - pool.claimed_now)


def seal_line(seal: Seal) -> dict[str, Any]:
    """Return a seal without its leaves, bytes in hexadecimal, with everything that its signature covers."""
    well_formed = seal.is_well_formed
    return {
        "seal": seal.seq,
        "sealed_at": format_timestamp(seal.sealed_at) if well_formed else MALFORMED,
        "entries": seal.count,
        "sums": ", ".join(f"{value} {code}" for code, value in json.loads(seal.sums).items()) if well_formed else MALFORMED,
        "from_xid": str(seal.from_xid),
        "to_xid": str(seal.to_xid),
        **{name: bytes(getattr(seal, name)).hex() for name in SEAL_COLUMNS[-4:]},
    }


def issue_line(issuance: Any) -> dict[str, Any]:
    """Return one entry of the issue log."""
    return {
        "issued_at": format_timestamp(issuance.issued_at),
        "count": issuance.count,
        "value": format_amount(issuance.value, issuance.currency),
        "currency": issuance.currency,
        "pool": issuance.pool.name if issuance.pool else None,
        "issued_by": issuance.created_by.email if issuance.created_by else None,
        "channel": issuance.channel,
    }


def change_line(event: Any) -> dict[str, Any]:
    """Return one change of a credit, with the credit's values after it."""
    return {
        "at": format_timestamp(event.pgh_created_at),
        "action": context_value(event, "action") or event.pgh_label,
        "who": context_value(event, "email"),
        "channel": context_value(event, "channel"),
        "asset": event.pgh_obj_id,
        "title": event.title,
        "value": format_amount(event.total_value, event.currency),
        "currency": event.currency,
        "status": event.status,
        "pool": event.pool.name if event.pool else None,
        "expires_at": format_timestamp(event.expires_at),
    }


def context_value(event: Any, name: str) -> str | None:
    """Return a value of the context recorded with a change."""
    return event.pgh_context.metadata.get(name) if event.pgh_context else None
