"""A person's wallet as of a time: what each credit had then, and the movements up to then, latest first."""

from typing import Any
from uuid import UUID

from kernel.statements import run_statements
from wallet.queries.as_of import AsOf
from wallet.queries.wallet_balances import REPLAY

SHOWN = 100
# Replays the person's whole history, as the balances of a time in the past do.
LOTS = f"""
WITH {REPLAY}
SELECT ongoing.entry_id, ongoing.currency, ongoing.spendable, ongoing.held, ongoing.spendable_from, ongoing.spendable_until,
    entry.amount AS total, asset.title
FROM ongoing JOIN ledger_entry AS entry ON entry.id = ongoing.entry_id
JOIN assets_cashbackasset AS asset ON asset.id = entry.asset_id
WHERE ongoing.spendable > 0 OR ongoing.held > 0
ORDER BY ongoing.currency, ongoing.spendable_until, ongoing.entry_id LIMIT %(limit)s
"""
MOVEMENTS = """
SELECT movement.id, movement.number, movement.kind, movement.amount, movement.currency, movement.at, movement.reference,
    movement.reason, movement.payment_id, movement.claim_id, movement.shortfall, service.name AS service, actor.email AS actor
FROM ledger_movement AS movement LEFT JOIN accounts_service AS service ON service.id = movement.service_id
LEFT JOIN accounts_user AS actor ON actor.id = movement.actor_id
WHERE movement.user_id = %(user)s AND movement.at <= %(at)s ORDER BY movement.at DESC, movement.id DESC LIMIT %(limit)s
"""


def wallet_at(user_id: UUID, as_of: AsOf) -> dict[str, list[Any]]:
    """Return the `lots` with something left, soonest end first, and the latest `movements`; up to SHOWN + 1 of each."""
    parameters = {"user": user_id, "at": as_of.at, "limit": SHOWN + 1}
    return run_statements({"lots": LOTS, "movements": MOVEMENTS}, parameters)
