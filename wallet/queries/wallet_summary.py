"""A wallet per currency for its owner: balances, and how many credits were claimed."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts.models import User
from kernel.statements import run_statements
from wallet.queries.wallet_balances import AS_OF, ENDING_SOON_DAYS, NOW, balance_of

CLAIMS = """
SELECT currency, sum(claims)::integer AS claims FROM (
    SELECT currency, claims FROM ledger_sealedbalance WHERE user_id = %(user)s
    UNION ALL
    SELECT currency, 1 FROM ledger_entry WHERE user_id = %(user)s
        AND xid >= coalesce((SELECT to_xid FROM ledger_seal ORDER BY seq DESC LIMIT 1), '0')
) AS part GROUP BY currency
"""
CLAIMS_AS_OF = """
SELECT currency, count(*)::integer AS claims FROM ledger_entry
WHERE user_id = %(user)s AND claimed_at <= %(at)s GROUP BY currency
"""
NOTHING = dict.fromkeys(("balance", "available", "held", "pending", "ending_soon"), Decimal(0)) | {"ending_at": None}


def wallet_summary(user: User, as_of: datetime | None = None) -> list[dict[str, Any]]:
    """Return the balances of every currency in which the user ever claimed, with the number of `claims`, now or as of then."""
    statements = {"claims": CLAIMS_AS_OF, "balances": AS_OF} if as_of else {"claims": CLAIMS, "balances": NOW}
    read = run_statements(statements, {"user": user.pk, "at": as_of, "soon": ENDING_SOON_DAYS})
    balances = {row.currency: balance_of(row) for row in read["balances"]}
    claims = {row.currency: row.claims for row in read["claims"]}
    return [
        {"currency": code, "claims": claims.get(code, 0)} | balances.get(code, NOTHING) for code in sorted({*claims, *balances})
    ]
