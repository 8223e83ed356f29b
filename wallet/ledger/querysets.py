"""Questions about many entries."""

from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models import Count, Sum

if TYPE_CHECKING:
    from accounts.models import User
    from wallet.ledger.models import Entry  # noqa: F401  (name of the type parameter)


class EntryQuerySet(models.QuerySet["Entry"]):
    """Sets of entries."""

    def visible_to(self, user: "User") -> Self:
        """Keep what `user` may see: all for an ADMIN, else their own."""
        return self if user.is_admin else self.filter(user=user)

    def newest_first(self) -> Self:
        """Order by the deciding instant, latest first; the id breaks ties."""
        return self.order_by("-claimed_at", "-id")

    def balances(self) -> Any:
        """Return per currency `balance` (exact sum of the amounts) and `claims` (their number)."""
        return self.order_by("currency").values("currency").annotate(balance=Sum("amount"), claims=Count("pk"))
