"""A claimed credit in its wallet's turn, and the answers of changes to it: clawback and extension."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from accounts.models import User
from accounts.services import Service
from kernel.sql import WALLET_LOCK
from kernel.statements import run_statements
from kernel.timestamps import format_timestamp
from wallet.actions.approvals import ApprovalRequired, Draft
from wallet.actions.payment_answers import Answer
from wallet.actions.payment_refusals import ClaimNotFound
from wallet.actions.payment_sql import CLOCK, MOVEMENT
from wallet.actions.proposal_parameters import Parameters
from wallet.ledger.allocating import DRAW_ORDER_SQL
from wallet.ledger.idempotency import IdempotencyKeyReused
from wallet.ledger.models import Lot, ProposalKind
from wallet.money import format_amount

LOCK_LOT = f"""
SELECT wallet.entry_id,
    pg_advisory_xact_lock({WALLET_LOCK.format(user="wallet.user_id", currency="wallet.currency")}) IS NOT NULL AS locked
FROM ledger_lot AS wallet WHERE wallet.entry_id = %(claim)s AND (%(service)s::uuid IS NULL OR EXISTS (
    SELECT FROM ledger_grant AS given WHERE given.entry_id = wallet.entry_id AND given.service_id = %(service)s))
"""
LOT = "SELECT lot.* FROM ledger_lot AS lot WHERE lot.entry_id = %(claim)s"
OTHER_LOTS = f"""
SELECT lot.entry_id, lot.available FROM ledger_lot AS lot
WHERE (lot.user_id, lot.currency) = (SELECT user_id, currency FROM ledger_lot WHERE entry_id = %(claim)s)
    AND lot.entry_id <> %(claim)s AND lot.is_open AND lot.clawback_due = 0
    AND (lot.spendable_until IS NULL OR lot.spendable_until > clock_timestamp())
ORDER BY {DRAW_ORDER_SQL} LIMIT 499
"""
KEYED = f"""
SELECT {MOVEMENT}, posting.spendable_until FROM ledger_movement AS movement
LEFT JOIN ledger_posting AS posting ON posting.movement_id = movement.id AND posting.position = 1
WHERE movement.request_key = %(key)s AND (movement.actor_id = %(actor)s
    OR %(actor)s::uuid IS NULL AND movement.actor_id IS NULL AND movement.claim_id = %(claim)s)
"""


class LockedLot(NamedTuple):
    """A claimed credit in its wallet's turn, the other open credits of the wallet in draw order, and the time."""

    lot: Any
    others: list[Any]
    keyed: list[Any]
    now: datetime


def lock_lot(claim_id: UUID, actor: User | None, service: Service | None, key: str | None) -> LockedLot:
    """Wait for the turn of the claim's wallet and return its lot; raise ClaimNotFound.

    A service sees only the claims that it granted.
    """
    parameters = {"claim": claim_id, "service": service and service.pk, "actor": actor and actor.pk, "key": key}
    statements = {"lock": LOCK_LOT, "lot": LOT, "others": OTHER_LOTS, "keyed": KEYED, "clock": CLOCK}
    read = run_statements(statements, parameters)
    if not read["lock"]:
        raise ClaimNotFound
    return LockedLot(read["lot"][0], read["others"], read["keyed"], read["clock"][0].now)


def replay_change(keyed: Sequence[Any], fingerprint: str) -> Answer | None:
    """Return the first answer to the request that recorded this movement; None if none did. Raises IdempotencyKeyReused."""
    if not keyed:
        return None
    if keyed[0].fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return Answer(change_body(keyed[0], keyed[0].spendable_until), 201, replayed=True)


def change_body(movement: Any, spendable_until: datetime | None) -> dict[str, Any]:
    """Return a change of a claimed credit in JSON types."""
    return {
        "id": str(movement.id),
        "kind": movement.kind,
        "claim": str(movement.claim_id),
        "currency": movement.currency,
        "amount": format_amount(movement.amount, movement.currency),
        "shortfall": None if movement.shortfall is None else format_amount(movement.shortfall, movement.currency),
        "reason": movement.reason,
        "at": format_timestamp(movement.at),
        "spendable_until": format_timestamp(spendable_until),
    }


def draft_change(
    kind: ProposalKind,
    claim_id: UUID,
    amount: Decimal,
    parameters: Parameters,
    shown: dict[str, Any],
    *,
    fingerprint: str,
    actor: User | None,
    service: Service | None,
    key: str | None,
) -> Draft:
    """Return the proposal of a change of a claimed credit, with its figures now. Raises ApprovalRequired without a pool."""
    lot = Lot.objects.select_related("entry__asset__pool").get(pk=claim_id)
    asset = lot.entry.asset
    if asset.pool is None:
        raise ApprovalRequired
    figures = {name: format_amount(getattr(lot, name), lot.currency) for name in ("total", "available", "held", "spent")}
    facts = {"user": str(lot.user_id), "credit": asset.title, "amount": format_amount(amount, lot.currency)}
    reason = parameters.as_json()["reason"]
    return Draft(kind, asset.pool, amount, parameters, facts | figures | shown, fingerprint, actor, service, key, reason)
