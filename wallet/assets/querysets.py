"""QuerySets of assets and pools."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import connection, models
from django.db.models import (
    BigIntegerField,
    Case,
    CharField,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce, Floor, Lower, Now

from kernel.readable_text import normal_text
from kernel.replicas import read_connection
from wallet.assets.bulk_insert import INSERTED_COLUMNS, InsertableRow
from wallet.assets.claim_rules import ClaimsMade, CommittedValue, PeriodIsFull, PoolIsOpen

if TYPE_CHECKING:
    from accounts.models import User
    from wallet.assets.batches import Batch
    from wallet.assets.models import (
        CashbackAsset,
        CreditPool,  # noqa: F401  (names of the type parameters)
    )

# One statement: PostgreSQL reads each row again after it has locked it, and skips rows that another transaction holds.
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
# The same as a range whose end the planner does not know, so that it expects few rows, as there are, and takes the index by
# expiry. It would expect as many as all credits have expiries in the past: those that were claimed or swept long ago.
BETWEEN_BEGINNING_AND_NOW = (
    Cast(Value("-infinity"), models.DateTimeField()),
    Func(Now(), template="(SELECT %(expressions)s)", output_field=models.DateTimeField()),
)
FEW_DUE = Q(status="AVAILABLE", expires_at__range=BETWEEN_BEGINNING_AND_NOW)
CLAIMABLE = Q(status="AVAILABLE") & (Q(expires_at=None) | Q(expires_at__gt=Now()))
OPEN = Q(PoolIsOpen())
SHOWN = Q(is_active=True, grants_only=False)  # pools that users see

# A loose index scan: one probe of the index per distinct title, of which a campaign has few, however many credits it has.
TITLES = """
    WITH RECURSIVE distinct_title (title) AS (
        (SELECT title FROM assets_cashbackasset WHERE status <> 'CLAIMED' ORDER BY title LIMIT 1)
        UNION ALL
        SELECT (
            SELECT asset.title FROM assets_cashbackasset AS asset
            WHERE asset.status <> 'CLAIMED' AND asset.title > distinct_title.title ORDER BY asset.title LIMIT 1
        ) FROM distinct_title WHERE distinct_title.title IS NOT NULL
    )
    SELECT count(*), array_agg(title) FILTER (WHERE upper(title) LIKE upper(%s))
    FROM (SELECT title FROM distinct_title WHERE title IS NOT NULL LIMIT %s) AS seen
"""
MAX_TITLES = 5_000  # distinct titles that a search examines; with more, it scans the list of credits itself
MANY_TITLES_SECONDS = 60.0  # how long "more than MAX_TITLES" is remembered
many_titles: dict[str, float] = {}  # until when (monotonic seconds) the titles of a database, by its name, are not examined
MAX_NAMED_ASSETS = 500  # matching titles; with more, scanning the list soon fills a page


class AssetQuerySet(models.QuerySet["CashbackAsset"]):
    """Sets of assets."""

    def claimable(self) -> Self:
        """Keep assets that can be claimed now: AVAILABLE and not past their expiry."""
        return self.filter(CLAIMABLE)

    def due(self) -> Self:
        """Keep assets that are past their expiry and still AVAILABLE, because no sweep has marked them."""
        return self.filter(FEW_DUE)

    def with_current_status(self) -> Self:
        """Annotate `current_status`: the status, and EXPIRED for an asset that is due."""
        return self.annotate(current_status=Case(When(DUE, then=Value("EXPIRED")), default=F("status")))

    def lock(self, asset_id: UUID) -> "CashbackAsset":
        """Lock the asset for this transaction and return it with its `current_status` at a time after the lock was granted.

        Raises CashbackAsset.DoesNotExist. Two statements, because the first one may start before its lock is granted.
        """
        self.select_for_update(no_key=True, of=("self",)).only("pk").get(pk=asset_id)
        return self.with_current_status().get(pk=asset_id)

    def visible_to(self, user: "User") -> Self:
        """Keep assets that `user` may see: all for an ADMIN, otherwise their own and the unclaimed ones of pools they see."""
        if user.is_admin:
            return self
        shown = Q(pool=None) | Q(pool__is_active=True, pool__grants_only=False)
        return self.filter(Q(claimed_by=user) | ~Q(status="CLAIMED") & shown)

    def titles_with(self, text: str) -> list[str] | None:
        """Return the titles of unclaimed assets that contain `text`, ignoring case; None if there are too many titles.

        The text must be normal (see normal_text), as titles are.
        """
        connection = read_connection()
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

    def in_batch(self, batch: "Batch") -> Self:
        """Keep the credits of the batch, found by the primary key (see Batch.id_range)."""
        ids = batch.id_range()
        return self.filter(batch=batch, pk__range=ids) if ids else self.none()

    def insert_all(self, assets: Iterable[InsertableRow], batch_id: UUID | None = None) -> None:
        """Insert new assets with one COPY, ten times as fast as INSERT; constraints and triggers apply.

        Raises IntegrityError.
        """
        copy = f"COPY assets_cashbackasset ({', '.join(INSERTED_COLUMNS)}, batch_id) FROM STDIN"
        batch = batch_id and batch_id.hex
        with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(copy) as rows:
            for asset in assets:
                rows.write_row((*asset.row(), batch))

    def expire(self, ids: Sequence[UUID]) -> int:
        """Mark the rows EXPIRED that are due and not locked by another transaction; return how many."""
        with connection.cursor() as cursor:
            cursor.execute(EXPIRE, [list(ids)])
            count: int = cursor.rowcount
            return count

    def soonest_expiry_first(self) -> Self:
        """Order by expiry, the soonest first and those without one last."""
        return self.order_by(F("expires_at").asc(nulls_last=True), "id")


def pool_name_key(name: F | Value) -> Any:
    """Return the expression by which names of pools are unique and found: without case, spaces, differences of form,
    and the invisible parts of letters and emoji."""
    same_form = Func(name, template="normalize(%(expressions)s, NFKC)", output_field=CharField())
    return Lower(
        Func(
            same_form, template=r"regexp_replace(%(expressions)s, '[\s\u200C\u200D\uFE0F]+', '', 'g')", output_field=CharField()
        )
    )


class PoolQuerySet(models.QuerySet["CreditPool"]):
    """Sets of pools."""

    def named(self, name: str) -> Self:
        """Keep the pool with this name, however its case, spaces and normal form are typed."""
        return self.alias(name_key=pool_name_key(F("name"))).filter(
            name_key=pool_name_key(Value(normal_text(name), CharField()))
        )

    def visible_to(self, user: "User") -> Self:
        """Keep pools that `user` may see: inactive ones, and those that are only granted from, are for ADMINs only."""
        return self if user.is_admin else self.filter(SHOWN)

    def hidden(self) -> Self:
        """Keep pools that users do not see."""
        return self.exclude(SHOWN)

    def not_archived(self) -> Self:
        """Keep pools that are not archived."""
        return self.filter(archived_at=None)

    def offered_for(self, asset: "CashbackAsset") -> Self:
        """Keep pools that the asset may be put in, by name: those that are not archived, and its own."""
        return self.filter(Q(archived_at=None) | Q(pk=asset.pool_id)).order_by("name")

    def with_supply(self) -> Self:
        """Annotate `available`: the number of credits that can be claimed now, those that its budget still allows included."""
        assets: Any = self.model._meta.get_field("assets").related_model
        due = assets.objects.due().filter(pool=OuterRef("pk")).order_by().values("pool").annotate(n=Count("pk")).values("n")
        unclaimed: Any = self.count_in(Q(status="AVAILABLE"))
        to_issue: Any = Case(
            When(
                budget__isnull=False,
                then=Cast(Floor((F("budget") - CommittedValue()) / F("credit_value")), BigIntegerField()),
            ),
            default=0,
            output_field=BigIntegerField(),
        )
        claimable: Any = unclaimed - Coalesce(Subquery(due), 0, output_field=IntegerField())
        return self.annotate(available=ExpressionWrapper(claimable + to_issue, output_field=BigIntegerField()))

    def count_in(self, statuses: Q) -> Coalesce:
        """Return the expression for a pool's number of credits in these statuses, summed from the supply counters.

        Arguments:
            statuses: a condition on SupplyDelta, whose statuses include DELETED.
        """
        deltas: Any = self.model._meta.get_field("supply_deltas").related_model
        sums = deltas.objects.filter(statuses, pool=OuterRef("pk")).order_by().values("pool").annotate(n=Sum("count"))
        return Coalesce(Subquery(sums.values("n")), 0, output_field=IntegerField())

    def within_budget(self) -> Any:
        """Return the condition that the pool has a budget, which allows another credit."""
        return Q(budget__isnull=False) & Q(budget__gte=CommittedValue() + F("credit_value"))

    def with_is_open(self) -> Self:
        """Annotate `is_open`: active and within its window now."""
        return self.annotate(is_open=Case(When(OPEN, then=True), default=False, output_field=models.BooleanField()))

    def with_can_claim(self, assets: AssetQuerySet, user: "User") -> Self:
        """Annotate `can_claim`: whether a claim by `user` from the pool would succeed now."""
        below_limit: Any = Q(per_user_limit=None) | Q(per_user_limit__gt=ClaimsMade(user.pk))
        below_limit &= Q(period_limit=None) | ~Q(PeriodIsFull(user.pk))
        has_claimable = Exists(assets.claimable().filter(pool=OuterRef("pk")))
        can_claim: Any = Case(
            When(OPEN & SHOWN & below_limit & (Q(has_claimable) | self.within_budget()), then=True),
            default=False,
            output_field=models.BooleanField(),
        )
        return self.annotate(can_claim=can_claim)
