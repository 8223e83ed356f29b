"""QuerySets of entries and seals."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import BooleanField, Case, ExpressionWrapper, F, When
from django.db.models.query import ModelIterable

from kernel.replicas import read_connection
from wallet.ledger.seal_shape import SHAPE, WELL_FORMED

if TYPE_CHECKING:
    from accounts.models import User
    from wallet.ledger.models import Entry, Seal  # noqa: F401  (names of the type parameters)

# The columns of a new entry that the application writes; PostgreSQL adds the transaction id.
COLUMNS = (
    *("id", "kind", "asset_id", "user_id", "amount", "currency", "claimed_at", "spendable_from", "spendable_until"),
    *("request_key", "actor_id"),
)
# The columns of a new movement that the application writes; the trigger sets its number, time and transaction id.
MOVEMENT_COLUMNS = (
    *("id", "kind", "user_id", "currency", "amount", "payment_id", "claim_id", "service_id", "reference", "order_total"),
    *("held_until", "shortfall", "reason", "note_digest", "request_key", "fingerprint", "actor_id", "channel"),
)
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
        """Keep entries that `user` may see: all for an ADMIN, otherwise their own."""
        return self if user.is_admin else self.filter(user=user)

    def newest_first(self) -> Self:
        """Order by the time of the claim, latest first; the id breaks ties."""
        return self.order_by("-claimed_at", "-id")

    def balances_of(self, user: "User") -> list[dict[str, Any]]:
        """Return per currency the user's `balance` (the exact sum of all their entries) and `claims` (the number of entries).

        One statement, so that the sealed balances and the last seal are of one snapshot.
        """
        with read_connection().cursor() as cursor:
            cursor.execute(BALANCES, {"user": user.pk})
            return [{"currency": code, "balance": total, "claims": int(claims)} for code, total, claims in cursor.fetchall()]


class ReadableSeals(ModelIterable["Seal"]):
    """Seals of `whatever_shape`: `sealed_at` comes with the row where it can be read, instead of by a query for each seal."""

    def __iter__(self) -> Iterator["Seal"]:
        for seal in super().__iter__():
            if seal.is_well_formed:
                seal.sealed_at = seal.readable_sealed_at
            yield seal


class SealQuerySet(models.QuerySet["Seal"]):
    """Sets of seals. A forged row from before the checks of SHAPE may hold values that Python cannot read."""

    def well_formed(self) -> Self:
        """Keep seals whose columns can all be read; this does not verify them."""
        return self.filter(WELL_FORMED)

    def whatever_shape(self) -> Self:
        """Annotate `is_well_formed` and defer the columns that cannot be read in a malformed seal."""
        shaped = ExpressionWrapper(WELL_FORMED, BooleanField())
        sealed_at = Case(When(WELL_FORMED, then=F("sealed_at")))
        seals = self.defer("leaves", "sealed_at").annotate(is_well_formed=shaped, readable_sealed_at=sealed_at)
        seals._iterable_class = ReadableSeals
        return seals

    def covering(self, xid: int) -> Self:
        """Keep the seal whose range includes the transaction `xid`."""
        return self.filter(from_xid__lte=xid, to_xid__gt=xid)

    def malformed(self) -> list[tuple[int, str]]:
        """Return (seq, name of the first violated check) of each malformed seal, in order of seq."""
        broken = models.Case(*(models.When(~condition, models.Value(name)) for name, condition in SHAPE.items()))
        return list(self.exclude(WELL_FORMED).order_by("seq").values_list("seq", broken))
