"""Questions about many entries."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from django.db import connection, models
from django.db.models import Count, Sum

if TYPE_CHECKING:
    from accounts.models import User
    from wallet.ledger.models import Entry  # noqa: F401  (name of the type parameter)


# What is written of a new entry; the transaction's id is PostgreSQL's.
APPEND = """\
INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, request_key, actor_id)
SELECT * FROM unnest(
    %s::uuid[], %s::text[], %s::uuid[], %s::uuid[], %s::numeric[], %s::text[], %s::timestamptz[], %s::text[], %s::uuid[]
)
"""
COLUMNS = ("id", "kind", "asset_id", "user_id", "amount", "currency", "claimed_at", "request_key", "actor_id")


class EntryQuerySet(models.QuerySet["Entry"]):
    """Sets of entries."""

    def visible_to(self, user: "User") -> Self:
        """Keep what `user` may see: all for an ADMIN, else their own."""
        return self if user.is_admin else self.filter(user=user)

    def append(self, entries: Sequence["Entry"]) -> None:
        """Write new entries with one statement. Raises IntegrityError with the name of the rule that refused one."""
        if entries:
            with connection.cursor() as cursor:
                cursor.execute(APPEND, [[getattr(entry, name) for entry in entries] for name in COLUMNS])

    def newest_first(self) -> Self:
        """Order by the deciding instant, latest first; the id breaks ties."""
        return self.order_by("-claimed_at", "-id")

    def balances(self) -> Any:
        """Return per currency `balance` (exact sum of the amounts) and `claims` (their number)."""
        return self.order_by("currency").values("currency").annotate(balance=Sum("amount"), claims=Count("pk"))
