"""The history of a wallet as pages show it, with a search: claims and what happened to claimed credit, newest first.

A page reads the keys of both tables by their indexes, merged, and then its own rows; nothing is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Value

from wallet.ledger.models import Entry, Movement

CLAIMS = "claims"
# What a user may ask for beside the claims: names of kinds of movements.
MOVEMENT_KINDS = {
    "payments": ("HOLD", "CAPTURE", "SPEND", "RELEASE"),
    "refunds": ("REFUND",),
    "changes": ("LAPSE", "CLAWBACK", "EXTEND"),
}


@dataclass(frozen=True)
class WalletHistory:
    """The history of a user; slicing reads a page of it.

    Arguments:
        text: part of a credit's title, of an order's reference or of a service's name.
        since, until: the times between which it happened, both inclusive.
        show: CLAIMS, or one of MOVEMENT_KINDS; empty: everything.
    """

    user_id: UUID
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    show: str = ""

    def __getitem__(self, part: slice) -> list[Entry | Movement]:
        """Return the claims and movements of this part, newest first."""
        keys = list(self.keys(part.stop)[part])
        claims = Entry.objects.filter(pk__in=[pk for _, pk, is_claim in keys if is_claim]).select_related("asset__pool")
        movements = Movement.objects.filter(pk__in=[pk for _, pk, is_claim in keys if not is_claim])
        rows: dict[UUID, Entry | Movement] = {}
        for found in (claims, movements.select_related("service", "payment", "claim__asset")):
            rows |= {row.pk: row for row in found.order_by()}
        return [rows[pk] for _, pk, _ in keys]

    def keys(self, stop: int) -> QuerySet[Any, Any]:
        """Return (time, id, is a claim) of the first `stop` of everything, newest first.

        Each table is asked for its first `stop`, because PostgreSQL would otherwise read and sort the whole history.
        """
        claims = self.claims().order_by("-claimed_at", "-id").values_list("claimed_at", "id", Value(True))[:stop]
        if self.show == CLAIMS:
            return claims
        movements = self.movements().order_by("-at", "-id").values_list("at", "id", Value(False))[:stop]
        return movements if self.show else claims.union(movements, all=True).order_by("-claimed_at", "-id")

    def claims(self) -> QuerySet[Entry]:
        """Return the claims that fit."""
        found = Entry.objects.filter(self.between("claimed_at"), user_id=self.user_id)
        return found.filter(asset__title__icontains=self.text) if self.text else found

    def movements(self) -> QuerySet[Movement]:
        """Return the movements that fit."""
        found = Movement.objects.filter(self.between("at"), user_id=self.user_id)
        if self.show:
            found = found.filter(kind__in=MOVEMENT_KINDS[self.show])
        if self.text:
            names = ("payment__reference", "service__name", "claim__asset__title")
            found = found.filter(any_contains(names, self.text))
        return found

    def between(self, column: str) -> Q:
        """Return the condition that a column is between both times."""
        condition = Q()
        if self.since is not None:
            condition &= Q(**{f"{column}__gte": self.since})
        if self.until is not None:
            condition &= Q(**{f"{column}__lte": self.until})
        return condition


def any_contains(columns: Sequence[str], text: str) -> Q:
    """Return the condition that any of the columns contains the text, in whatever case."""
    condition = Q()
    for column in columns:
        condition |= Q(**{f"{column}__icontains": text})
    return condition
