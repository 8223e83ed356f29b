"""Questions about many entries."""

from typing import TYPE_CHECKING, Any, Self

from django.db import connection, models
from django.db.models import BooleanField, ExpressionWrapper

from wallet.ledger.seal_shape import SHAPE, WELL_FORMED

if TYPE_CHECKING:
    from accounts.models import User
    from wallet.ledger.models import Entry, Seal  # noqa: F401  (names of the type parameters)

# What is written of a new entry; the transaction's id is PostgreSQL's. It says what its asset says.
COLUMNS = ("id", "kind", "asset_id", "user_id", "amount", "currency", "claimed_at", "request_key", "actor_id")
BALANCES = """
SELECT currency, sum(amount), sum(claims) FROM (
    SELECT currency, amount, claims FROM ledger_sealedbalance WHERE user_id = %(user)s
    UNION ALL
    SELECT currency, amount, 1 FROM ledger_entry WHERE user_id = %(user)s
        AND xid >= coalesce((SELECT to_xid FROM ledger_seal ORDER BY seq DESC LIMIT 1), '0')
) AS part
GROUP BY currency ORDER BY currency
"""


class EntryQuerySet(models.QuerySet["Entry"]):
    """Sets of entries."""

    def visible_to(self, user: "User") -> Self:
        """Keep what `user` may see: all for an ADMIN, else their own."""
        return self if user.is_admin else self.filter(user=user)

    def newest_first(self) -> Self:
        """Order by the deciding instant, latest first; the id breaks ties."""
        return self.order_by("-claimed_at", "-id")

    def balances_of(self, user: "User") -> list[dict[str, Any]]:
        """Return per currency the user's `balance` (exact sum of all their entries' amounts) and `claims` (their number).

        One statement, so that subtotals and last seal are of one moment.
        """
        with connection.cursor() as cursor:
            cursor.execute(BALANCES, {"user": user.pk})
            return [{"currency": code, "balance": total, "claims": int(claims)} for code, total, claims in cursor.fetchall()]


class SealQuerySet(models.QuerySet["Seal"]):
    """Sets of seals. A row that somebody forged before PostgreSQL refused such rows may hold what Python cannot even read."""

    def well_formed(self) -> Self:
        """Keep the seals whose columns can all be read; whether they are true is another question."""
        return self.filter(WELL_FORMED)

    def whatever_shape(self) -> Self:
        """Add `is_well_formed` and leave out what a malformed seal cannot be read by."""
        shaped = ExpressionWrapper(WELL_FORMED, BooleanField())
        return self.defer("leaves", "sealed_at").annotate(is_well_formed=shaped)

    def covering(self, xid: int) -> Self:
        """Keep the seal in whose range a transaction is."""
        return self.filter(from_xid__lte=xid, to_xid__gt=xid)

    def malformed(self) -> list[tuple[int, str]]:
        """Return the number of each malformed seal with the first check that it breaks, lowest first."""
        broken = models.Case(*(models.When(~condition, models.Value(name)) for name, condition in SHAPE.items()))
        return list(self.exclude(WELL_FORMED).order_by("seq").values_list("seq", broken))
