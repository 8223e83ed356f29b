"""Export rows of pools, seals, issues, changes, payments and lapses, keyed by column."""

import json
from typing import Any

from kernel.timestamps import format_timestamp
from wallet.ledger.models import Seal
from wallet.money import format_amount
from wallet.queries.payment_search import state_of

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
PAYMENT_FIGURES = ("amount", "held", "captured", "released", "refunded")
PAYMENT_COLUMNS = ("payment", "reference", "user", "service", "state", "currency", *PAYMENT_FIGURES, "began_at", "held_until")
LAPSE_COLUMNS = ("lapsed_at", "user", "amount", "currency", "claim", "title")


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


def payment_line(payment: Any) -> dict[str, Any]:
    """Return a payment with its figures, and its state at `now`."""
    return {
        "payment": payment.pk,
        "reference": payment.reference,
        "user": payment.user.email,
        "service": payment.service.name,
        "state": str(state_of(payment, payment.now)),
        "currency": payment.currency,
        **{name: format_amount(getattr(payment, name), payment.currency) for name in PAYMENT_FIGURES},
        "began_at": format_timestamp(payment.began_at),
        "held_until": format_timestamp(payment.held_until),
    }


def lapse_line(lapse: Any) -> dict[str, Any]:
    """Return the rest of a credit that ended by time."""
    return {
        "lapsed_at": format_timestamp(lapse.at),
        "user": lapse.user.email,
        "amount": format_amount(lapse.amount, lapse.currency),
        "currency": lapse.currency,
        "claim": lapse.claim_id,
        "title": lapse.claim.asset.title,
    }


def context_value(event: Any, name: str) -> str | None:
    """Return a value of the context recorded with a change."""
    return event.pgh_context.metadata.get(name) if event.pgh_context else None
