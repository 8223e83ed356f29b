"""What follows when value comes back to credits: a clawback takes what it is still owed, and an ended credit lapses at once."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from kernel.sql import uuid_array
from kernel.statements import run_statements
from wallet.ledger.allocating import Share
from wallet.ledger.recording import NewMovement, record

# A lot that is to be taken from: `due` for a clawback, `ended` for a lapse.
CAME_BACK = """
SELECT entry_id, user_id, currency, available, least(available, clawback_due) AS due,
    spendable_until <= clock_timestamp() AS ended
FROM ledger_lot WHERE entry_id = ANY(%(lots)s::uuid[]) AND is_open
    AND (clawback_due > 0 OR spendable_until <= clock_timestamp()) ORDER BY entry_id
"""


def settle_returned_credit(lots: Iterable[UUID]) -> None:
    """Record what follows for these lots, in the transaction and the wallet's turn of what returned them."""
    returned = run_statements({"lots": CAME_BACK}, {"lots": uuid_array(lots)})["lots"]
    record([movement for lot in returned for movement in following_movements(lot)])


def following_movements(lot: Any) -> Iterable[NewMovement]:
    """Yield the movements that take from a lot."""
    wallet = {"user_id": lot.user_id, "currency": lot.currency, "claim_id": lot.entry_id}
    if lot.due:
        yield NewMovement("CLAWBACK", shares=[Share(lot.entry_id, lot.due)], reason="returned", **wallet)
    if lot.ended and lot.available > lot.due:
        yield NewMovement("LAPSE", shares=[Share(lot.entry_id, lot.available - lot.due)], **wallet)
