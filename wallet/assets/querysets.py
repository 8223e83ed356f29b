"""Questions about many pools or assets."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import connection, models
from django.db.models import Case, Count, Exists, F, IntegerField, OuterRef, Q, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, Now

from wallet.assets.bulk_insert import ISSUED, InsertableRow

if TYPE_CHECKING:
    from accounts.models import User
    from wallet.assets.models import (
        CashbackAsset,
        CreditPool,  # noqa: F401  (names of the type parameters)
    )

# One statement: what it has locked is judged as it is now, and whoever holds a row is not waited for.
EXPIRE = """\
WITH held AS MATERIALIZED (
    SELECT id FROM assets_cashbackasset
    WHERE id = ANY(%s::uuid[]) AND status = 'AVAILABLE' AND expires_at <= statement_timestamp()
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE assets_cashbackasset AS asset SET status = 'EXPIRED' FROM held WHERE asset.id = held.id
"""

# "Now" is the database's clock at the start of the statement, never this machine's.
DUE = Q(status="AVAILABLE", expires_at__lte=Now())
CLAIMABLE = Q(status="AVAILABLE") & (Q(expires_at=None) | Q(expires_at__gt=Now()))
OPEN = Q(is_active=True, opens_at__lte=Now()) & (Q(closes_at=None) | Q(closes_at__gt=Now()))

# One probe of an index for each title that there is: campaigns have few, however many credits they hold.
TITLES = """
    WITH RECURSIVE each (title) AS (
        (SELECT title FROM assets_cashbackasset WHERE status <> 'CLAIMED' ORDER BY title LIMIT 1)
        UNION ALL
        SELECT (
            SELECT asset.title FROM assets_cashbackasset AS asset
            WHERE asset.status <> 'CLAIMED' AND asset.title > each.title ORDER BY asset.title LIMIT 1
        ) FROM each WHERE each.title IS NOT NULL
    )
    SELECT count(*), array_agg(title) FILTER (WHERE upper(title) LIKE upper(%s))
    FROM (SELECT title FROM each WHERE title IS NOT NULL LIMIT %s) AS seen
"""
MAX_TITLES = 5_000  # looked through; where there are more, a search reads the list itself
MANY_TITLES_SECONDS = 60.0  # so long is it believed that there are more, and the titles are not looked through
many_titles: dict[str, float] = {}  # until when, by the name of the database and the monotonic clock
MAX_NAMED_ASSETS = 500  # what so many titles hold is found soon anyway


class AssetQuerySet(models.QuerySet["CashbackAsset"]):
    """Sets of assets."""

    def claimable(self) -> Self:
        """Keep what can be claimed now: AVAILABLE and not due."""
        return self.filter(CLAIMABLE)

    def due(self) -> Self:
        """Keep what is past its expiry and was not swept yet."""
        return self.filter(DUE)

    def with_current_status(self) -> Self:
        """Annotate `current_status`: what is true now, so that a due asset reads EXPIRED before any sweep."""
        return self.annotate(current_status=Case(When(DUE, then=Value("EXPIRED")), default=F("status")))

    def lock(self, asset_id: UUID) -> "CashbackAsset":
        """Return the asset locked for this transaction, with its `current_status` by the clock after the lock was granted.

        Raises CashbackAsset.DoesNotExist. Two statements: what the first computes may be older than the lock.
        """
        self.select_for_update(no_key=True, of=("self",)).only("pk").get(pk=asset_id)
        return self.with_current_status().get(pk=asset_id)

    def visible_to(self, user: "User") -> Self:
        """Keep what `user` may see: everything for an ADMIN, else their own and what nobody claimed in pools that are shown."""
        if user.is_admin:
            return self
        shown = Q(pool=None) | Q(pool__is_active=True)
        return self.filter(Q(claimed_by=user) | ~Q(status="CLAIMED") & shown)

    def titles_with(self, text: str) -> list[str] | None:
        """Return the titles of unclaimed assets that hold `text` in any case; None where there are too many to tell."""
        database = connection.settings_dict["NAME"]
        if time.monotonic() < many_titles.get(database, 0.0):
            return None
        with connection.cursor() as cursor:
            cursor.execute(TITLES, [f"%{connection.ops.prep_for_like_query(text)}%", MAX_TITLES + 1])
            count, titles = cursor.fetchone()
        found: list[str] = titles or []
        if count > MAX_TITLES:
            many_titles[database] = time.monotonic() + MANY_TITLES_SECONDS
        return None if count > MAX_TITLES or len(found) > MAX_NAMED_ASSETS else found

    def insert_all(self, assets: Iterable[InsertableRow]) -> None:
        """Insert new assets with one COPY, ten times as fast as INSERT; the rules of the table hold all the same.

        Raises IntegrityError as an INSERT would.
        """
        copy = f"COPY assets_cashbackasset ({', '.join(ISSUED)}) FROM STDIN"
        with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(copy) as rows:
            for asset in assets:
                rows.write_row(asset.row())

    def expire(self, ids: Sequence[UUID]) -> int:
        """Make those of the rows EXPIRED that are due and that nobody holds; return how many they were."""
        with connection.cursor() as cursor:
            cursor.execute(EXPIRE, [list(ids)])
            count: int = cursor.rowcount
            return count

    def soonest_expiry_first(self) -> Self:
        """Order so that what would be lost first is handed out first."""
        return self.order_by(F("expires_at").asc(nulls_last=True), "id")


class PoolQuerySet(models.QuerySet["CreditPool"]):
    """Sets of pools."""

    def visible_to(self, user: "User") -> Self:
        """Keep what `user` may see: an inactive pool is an ADMIN's draft."""
        return self if user.is_admin else self.filter(is_active=True)

    def with_supply(self) -> Self:
        """Annotate `available`: how many of the pool's credits can be claimed now."""
        assets: Any = self.model._meta.get_field("assets").related_model
        due = assets.objects.due().filter(pool=OuterRef("pk")).order_by().values("pool").annotate(n=Count("pk")).values("n")
        offered: Any = self.told(Q(status="AVAILABLE"))
        return self.annotate(available=offered - Coalesce(Subquery(due), 0, output_field=IntegerField()))

    def told(self, which: Q) -> Coalesce:
        """Return how many credits of a pool are in these states, as models.Supply tells without counting them."""
        supply: Any = self.model._meta.get_field("supply").related_model
        lines = supply.objects.filter(which, pool=OuterRef("pk")).order_by().values("pool").annotate(n=Sum("number"))
        return Coalesce(Subquery(lines.values("n")), 0, output_field=IntegerField())

    def with_is_open(self) -> Self:
        """Annotate `is_open`: active and within its window now."""
        return self.annotate(is_open=Case(When(OPEN, then=True), default=False, output_field=models.BooleanField()))

    def with_can_claim(self, assets: AssetQuerySet, user: "User") -> Self:
        """Annotate `can_claim`: whether `user` would get a credit from the pool if they asked now."""
        taken = assets.filter(pool=OuterRef("pk"), claimed_by=user).order_by("-claim_slot").values("claim_slot")[:1]
        within: Any = Q(per_user_limit=None) | Q(per_user_limit__gt=Coalesce(Subquery(taken), 0))
        some_left = Exists(assets.claimable().filter(pool=OuterRef("pk")))
        claimable: Any = Case(When(OPEN & within & some_left, then=True), default=False, output_field=models.BooleanField())
        return self.annotate(can_claim=claimable)
