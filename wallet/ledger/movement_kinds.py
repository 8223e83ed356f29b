"""The kinds of movements, once as data: Python, the triggers, the checks and the double-entry view are made from this table."""

from collections.abc import Callable
from typing import NamedTuple


class MovementKind(NamedTuple):
    """How one kind moves value.

    Arguments:
        source, target: the accounts of the double entry.
        takes_from, adds_to: the columns of the lot; None for the claim, which opens the lot, and for a new end.
        of_payment: whether it belongs to a payment; the others belong to a claim.
    """

    source: str
    target: str
    takes_from: str | None
    adds_to: str | None
    of_payment: bool = True


CLAIM = MovementKind("pool", "wallet", None, None, of_payment=False)
KINDS = {
    "HOLD": MovementKind("wallet", "hold", "available", "held"),
    "CAPTURE": MovementKind("hold", "merchant", "held", "spent"),
    "RELEASE": MovementKind("hold", "wallet", "held", "available"),
    "SPEND": MovementKind("wallet", "merchant", "available", "spent"),
    "REFUND": MovementKind("merchant", "wallet", "spent", "available"),
    "LAPSE": MovementKind("wallet", "breakage", "available", "lapsed", of_payment=False),
    "CLAWBACK": MovementKind("wallet", "pool", "available", "clawed_back", of_payment=False),
    "EXTEND": MovementKind("wallet", "wallet", None, None, of_payment=False),
}
LOT_FIGURES = ("available", "held", "spent", "lapsed", "clawed_back")  # they add up to the lot's total
OF_PAYMENT = tuple(kind for kind, how in KINDS.items() if how.of_payment)
OF_CLAIM = tuple(kind for kind, how in KINDS.items() if not how.of_payment)
DRAWING = ("HOLD", "SPEND")  # they begin a payment
RETURNING = ("RELEASE", "REFUND")  # value comes back to lots
# A claim, and its lot, that can be spent at once and never ends. Such lots are summed when they move, and never read one by one
# for a balance; what the clock decides of the others is asked when it is read.
LASTING_ENTRY = "spendable_until IS NULL AND coalesce(spendable_from, claimed_at) = claimed_at"
DATED_LOT = "(lot.spendable_until IS NOT NULL OR lot.spendable_from > lot.opened_at)"
ACCOUNTS = tuple(dict.fromkeys(account for how in (CLAIM, *KINDS.values()) for account in (how.source, how.target)))


def kinds_sql(kinds: tuple[str, ...]) -> str:
    """Return the kinds as a list for SQL's IN."""
    return f"({', '.join(repr(kind) for kind in kinds)})"


def kinds_where(condition: Callable[[MovementKind], bool]) -> tuple[str, ...]:
    """Return the kinds that fulfil a condition, in the order of the table."""
    return tuple(kind for kind, how in KINDS.items() if condition(how))


def lot_change_sql(figure: str, kind: str, amount: str) -> str:
    """Return SQL for the change of a lot's figure by a posting.

    Arguments:
        figure: one of LOT_FIGURES.
        kind, amount: SQL for the movement's kind and the posting's amount.
    """
    adding, taking = kinds_where(lambda how: how.adds_to == figure), kinds_where(lambda how: how.takes_from == figure)
    branches = [
        f"WHEN {kind} IN {kinds_sql(kinds)} THEN {sign}{amount}" for kinds, sign in ((adding, ""), (taking, "-")) if kinds
    ]
    return f"CASE {' '.join(branches)} ELSE 0 END"


def accounts_sql() -> str:
    """Return the table as SQL VALUES: kind, source, target."""
    return ", ".join(f"('{kind}', '{how.source}', '{how.target}')" for kind, how in KINDS.items())


# The whole ledger as double entry: each claim and each posting moves value between two accounts.
DOUBLE_ENTRY = f"""
SELECT id AS movement_id, 'CLAIM' AS kind, claimed_at AS at, user_id, currency, id AS lot_id, amount,
    '{CLAIM.source}' AS source, '{CLAIM.target}' AS target, xid
FROM ledger_entry
UNION ALL
SELECT movement.id, movement.kind, movement.at, movement.user_id, movement.currency, posting.lot_id, posting.amount,
    account.source, account.target, movement.xid
FROM ledger_posting AS posting JOIN ledger_movement AS movement ON movement.id = posting.movement_id
JOIN (VALUES {accounts_sql()}) AS account (kind, source, target) ON account.kind = movement.kind
"""
