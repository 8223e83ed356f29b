"""Say what a payment would draw on now; writes nothing and promises nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.models import User
from accounts.services import Service
from kernel.statements import run_statements
from kernel.timestamps import format_timestamp
from wallet.actions.open_lots import are_lots_missing
from wallet.actions.payment_checks import check_payment_amount
from wallet.actions.payment_refusals import LotsIncomplete, WalletClosed
from wallet.actions.payment_sql import read_spendable
from wallet.ledger.allocating import Share, allocate, total
from wallet.ledger.movements import MAX_POSTINGS
from wallet.money import format_amount

MAX_PASSED_OVER = 20
# Open credits of the wallet that a payment may not draw on now, and why. Materialized: PostgreSQL would otherwise look for the
# first ids among the lots of all wallets.
PASSED_OVER = """
WITH lot AS MATERIALIZED (
    SELECT entry_id, available, spendable_from, spendable_until, clawback_due, service_id FROM ledger_lot
    WHERE user_id = %(user)s AND currency = %(currency)s AND is_open
)
SELECT lot.entry_id, lot.available, CASE
    WHEN lot.spendable_until <= clock_timestamp() THEN 'ended'
    WHEN lot.spendable_from > clock_timestamp() THEN 'pending'
    WHEN lot.clawback_due > 0 THEN 'clawed_back' ELSE 'other_service' END AS reason
FROM lot WHERE lot.spendable_until <= clock_timestamp() OR lot.spendable_from > clock_timestamp() OR lot.clawback_due > 0
    OR (lot.service_id IS DISTINCT FROM %(service)s::uuid AND lot.service_id IS NOT NULL)
ORDER BY lot.entry_id LIMIT %(limit)s
"""


@dataclass(frozen=True)
class Question:
    """The columns by which the lots of a wallet are read for a service."""

    user_id: UUID
    currency: str
    service_id: UUID | None
    reference: None = None
    request_key: None = None
    actor_id: None = None


def quote_payment(
    user: User, service: Service | None, *, currency: str, amount: Decimal, up_to: bool = False
) -> dict[str, Any]:
    """Return in JSON types what a payment of `amount` at the service would draw on now, and what it would pass over.

    Without a service, credits that are bound to one are passed over.
    `covered` is what would be paid: all of it, or, unless `up_to`, nothing when credit is missing. Raises InvalidAmount,
    WalletClosed and LotsIncomplete.
    """
    check_payment_amount(amount, currency)
    read = read_spendable(Question(user.pk, currency, service.pk if service else None))
    if not all(person.is_active for person in read["people"]):
        raise WalletClosed
    shares = allocate([Share(lot.entry_id, lot.available) for lot in read["lots"][:MAX_POSTINGS]], amount)
    found = total(shares)
    if found < amount and are_lots_missing():
        raise LotsIncomplete
    covers = found == amount or up_to
    parameters = {"user": user.pk, "currency": currency, "service": service and service.pk, "limit": MAX_PASSED_OVER}
    passed_over = run_statements({"lots": PASSED_OVER}, parameters)["lots"]
    return {
        "asked": format_amount(amount, currency),
        "covered": format_amount(found if covers else Decimal(0), currency),
        "missing": format_amount(amount - found, currency),
        "allocations": quoted_shares(shares, read["lots"], currency) if covers else [],
        "passed_over": [
            {"claim": str(lot.entry_id), "available": format_amount(lot.available, currency), "reason": lot.reason}
            for lot in passed_over
        ],
    }


def quoted_shares(shares: Sequence[Share], lots: Sequence[Any], currency: str) -> list[dict[str, Any]]:
    """Return what each claim would bear, in the order of drawing."""
    ends = {lot.entry_id: lot.spendable_until for lot in lots}
    return [
        {"claim": str(lot_id), "amount": format_amount(amount, currency), "spendable_until": format_timestamp(ends[lot_id])}
        for lot_id, amount in shares
    ]
