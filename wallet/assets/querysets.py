"""Questions about many pools or assets."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import connection, models
from django.db.models import Case, Count, Exists, F, IntegerField, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce, Now

if TYPE_CHECKING:
    from accounts.models import User
    from wallet.assets.models import CashbackAsset, CreditPool  # noqa: F401  (names of the type parameters)

# What is written of a new asset; the rest is PostgreSQL's default.
ISSUED = (
    "id",
    "title",
    "total_value",
    "currency",
    "status",
    "generation",
    "pool_id",
    "expires_at",
    "recreated_from_id",
    "created_by_id",
)

# "Now" is the database's clock at the start of the statement, never this machine's.
DUE = Q(status="AVAILABLE", expires_at__lte=Now())
CLAIMABLE = Q(status="AVAILABLE") & (Q(expires_at=None) | Q(expires_at__gt=Now()))
OPEN = Q(is_active=True, opens_at__lte=Now()) & (Q(closes_at=None) | Q(closes_at__gt=Now()))


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

    def insert_all(self, assets: Iterable["CashbackAsset"]) -> None:
        """Insert new assets with one COPY, ten times as fast as INSERT; the rules of the table hold all the same.

        Raises IntegrityError as an INSERT would.
        """
        copy = f"COPY assets_cashbackasset ({', '.join(ISSUED)}) FROM STDIN"
        with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(copy) as rows:
            for asset in assets:
                rows.write_row([getattr(asset, name) for name in ISSUED])

    def soonest_expiry_first(self) -> Self:
        """Order so that what would be lost first is handed out first."""
        return self.order_by(F("expires_at").asc(nulls_last=True), "id")


class PoolQuerySet(models.QuerySet["CreditPool"]):
    """Sets of pools."""

    def visible_to(self, user: "User") -> Self:
        """Keep what `user` may see: an inactive pool is an ADMIN's draft."""
        return self if user.is_admin else self.filter(is_active=True)

    def with_supply(self, assets: AssetQuerySet) -> Self:
        """Annotate `available`: how many of the pool's `assets` can be claimed now."""
        counted = assets.claimable().filter(pool=OuterRef("pk")).order_by().values("pool").annotate(n=Count("pk")).values("n")
        return self.annotate(available=Coalesce(Subquery(counted), 0, output_field=IntegerField()))

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
