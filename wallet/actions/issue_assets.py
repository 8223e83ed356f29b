"""Issue assets: one, many, or equal ones in a pool."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import chain, islice, repeat
from math import ceil
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import User
from kernel.constraint_words import violations_in_words
from kernel.readable_text import normal_text
from kernel.timestamps import format_timestamp
from kernel.transactions import atomic_with_retry
from kernel.uuid7 import uuid7
from kernel.validation import Errors, collect_errors, raise_errors
from kernel.versions import Precondition, accept_any
from wallet.actions.approvals import ApprovalRequired, Draft, approvals_checked, awaiting_approval
from wallet.actions.proposal_parameters import IssueParameters, totals_of
from wallet.assets.batches import BatchHeader
from wallet.assets.bulk_insert import AssetTemplate, InsertableRow, TemplatedAsset
from wallet.assets.change_context import open_batch
from wallet.assets.constraint_words import WORDS
from wallet.assets.models import AssetStatus, CashbackAsset, CreditPool, PoolNotFound, end_of
from wallet.ledger.idempotency import IdempotentRequest, StoredResponse, answer_once, fingerprint
from wallet.ledger.models import ProposalKind
from wallet.money import format_amount

BATCH_SIZE = 5_000  # rows per COPY: bounds memory and stays far below the statement timeout
MAX_ISSUE_COUNT = 100_000
MAX_DAYS = 1_100  # on which the credits of one issue start: three years
Progress = Callable[[int], None]
# Python cannot represent the year 10000, which PostgreSQL can store; minus one day for time zones.
MAX_EXPIRY = datetime(9999, 12, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Issued:
    """Number of issued assets and their batch; `replayed` is True if the same request issued them before.

    `batch` is None for a request that an earlier release answered.
    """

    count: int
    replayed: bool = False
    batch: UUID | None = field(default=None, compare=False)


def resolve_expiry(expiry: datetime | date | None, pool: CreditPool | None) -> datetime | None:
    """Return the exclusive end of the time in which an asset can be claimed; None for no expiry.

    A date means the end of that day in the pool's time zone (UTC without a pool). Raises ValidationError if the expiry is in
    the past or after MAX_EXPIRY.
    """
    if expiry is not None and expiry >= (MAX_EXPIRY if isinstance(expiry, datetime) else MAX_EXPIRY.date()):
        raise ValidationError({"expires_at": "That date is too far in the future. Leave blank for no expiry."}, code="late")
    if expiry is not None and not isinstance(expiry, datetime):
        expiry = pool.end_of(expiry) if pool else end_of(expiry)
    if expiry is not None and expiry <= timezone.now():
        raise ValidationError({"expires_at": "That date is in the past."}, code="past")
    return expiry


def build_asset(
    actor: User | None,
    *,
    title: str,
    total_value: Decimal,
    currency: str | None = None,
    pool: CreditPool | None = None,
    expires_at: datetime | date | None = None,
    claimable_from: datetime | None = None,
    **lineage: Any,
) -> CashbackAsset:
    """Return a valid, unsaved asset; its currency defaults to the pool's.

    Raises ValidationError with the errors of all fields.
    """
    errors: Errors = {}
    asset = CashbackAsset(
        title=normal_text(title),
        total_value=total_value,
        currency=currency or (pool.currency if pool else ""),
        pool=pool,
        expires_at=collect_errors(errors, resolve_expiry, expires_at, pool),
        created_by=actor,
        claimable_from=claimable_from,
        status=AssetStatus.SCHEDULED if claimable_from else AssetStatus.AVAILABLE,
        **lineage,
    )
    if asset.claimable_from and asset.expires_at and asset.expires_at <= asset.claimable_from:
        message = "The credits would end before the last of them start. Choose a later end, or more credits a day."
        errors["expires_at"] = [ValidationError(message, code="before_start")]
    collect_errors(errors, check_not_archived, pool)
    collect_errors(errors, validate_asset, asset)
    raise_errors(errors)
    return asset


def check_not_archived(pool: CreditPool | None) -> None:
    """Raise ValidationError if the pool is archived: it takes no more credits."""
    if pool and pool.archived_at:
        raise ValidationError({"pool": "This pool is archived. Unarchive it first, or choose another pool."}, code="archived")


def check_fields(**given: Any) -> None:
    """Raise ValidationError with the errors of some of an asset's fields, whatever the others will be."""
    fields: dict[str, Any] = {"title": "?", "total_value": Decimal(1), "currency": "INR"} | given
    build_asset(None, **fields)


def validate_asset(asset: CashbackAsset) -> None:
    """Raise ValidationError if the asset's own fields are invalid; does not query the database."""
    errors: Errors = {}
    collect_errors(errors, asset.clean_fields, ["pool", "batch", "claimed_by", "recreated_from", "created_by"])
    if errors.keys().isdisjoint({"total_value", "currency"}):
        collect_errors(errors, asset.clean)
    collect_errors(errors, asset.check_ends_after_opening)
    raise_errors(errors)


def issue_asset(actor: User | None, **fields: Any) -> CashbackAsset:
    """Issue one asset from `title`, `total_value`, `currency`, `pool` and `expires_at`, and return it.

    Raises ValidationError, and AwaitsApproval above the pool's approval threshold.
    """
    try:
        return issue_at_once(actor, **fields)
    except ApprovalRequired:
        draft = draft_issue(actor, fields["pool"], 1, fields, None)
    raise awaiting_approval(draft)


def draft_issue(
    actor: User | None, pool: CreditPool, count: int, fields: dict[str, Any], request: IdempotentRequest | None
) -> Draft:
    """Return the proposal to issue equal credits in a pool. Their end is resolved now. Raises ValidationError."""
    asset, _starts = last_of(actor, pool, count=count, **fields)
    total, days = count * asset.total_value, {name: fields.get(name) for name in ("per_day", "starts_on")}
    shown = {
        "count": count,
        "credit": asset.title,
        "value": format_amount(asset.total_value, asset.currency),
        "amount": format_amount(total, asset.currency),
        "expires_at": format_timestamp(asset.expires_at),
        **{name: value if isinstance(value, int) else str(value) for name, value in days.items() if value is not None},
    }
    totals = totals_of({pool.pk: total})
    parameters = IssueParameters(count, asset.title, asset.total_value, asset.expires_at, totals=totals, **days)
    digest = request.fingerprint if request else fingerprint("issue", pool.pk, parameters.as_json())
    return Draft(
        ProposalKind.ISSUE, pool, total, parameters, shown, digest, actor, request_key=request.key if request else None
    )


@atomic_with_retry(idempotent=False)
def issue_at_once(actor: User | None, **fields: Any) -> CashbackAsset:
    """Issue one asset; see issue_asset. Raises ApprovalRequired."""
    asset = build_asset(actor, **fields)
    insert_asset(asset, BatchHeader(asset.title))
    return CashbackAsset.objects.with_current_status().get(pk=asset.pk)


def insert_asset(asset: CashbackAsset, batch: BatchHeader) -> None:
    """Insert one asset in a batch, which is created unless it exists, within the caller's transaction."""
    asset.batch_id = open_batch(batch)
    with approvals_checked(), violations_in_words(WORDS):
        asset.save(force_insert=True)


@atomic_with_retry(idempotent=False)
def issue_assets(
    assets: Iterable[InsertableRow], progress: Progress = lambda _: None, *, batch: BatchHeader | None = None
) -> Issued:
    """Issue prepared assets in one batch, all or none, BATCH_SIZE at a time; `progress` is called with the size of each part.

    Only one part is in memory if `assets` creates them during iteration. After a conflict `assets` is iterated again, so an
    iterator, which can be consumed only once, raises TypeError.
    """
    if isinstance(assets, Iterator):
        raise TypeError("issue_assets needs an iterable that can be iterated twice, not an iterator")
    return insert_assets(assets, batch or BatchHeader(""), progress)


def insert_assets(assets: Iterable[InsertableRow], batch: BatchHeader, progress: Progress = lambda _: None) -> Issued:
    """Insert prepared assets in one batch within the caller's transaction."""
    batch_id = open_batch(batch)
    remaining, count = iter(assets), 0
    while part := list(islice(remaining, BATCH_SIZE)):
        with approvals_checked(), violations_in_words(WORDS):
            CashbackAsset.objects.insert_all(part, batch_id)
        count += len(part)
        progress(len(part))
    return Issued(count, batch=batch_id)


def issue_in_pool(
    actor: User,
    pool_id: UUID,
    *,
    count: int,
    request: IdempotentRequest,
    progress: Progress = lambda _: None,
    precondition: Precondition = accept_any,
    **fields: Any,
) -> Issued:
    """Issue `count` (1 to MAX_ISSUE_COUNT) equal assets in a pool, once per request; a repetition gets the first response.

    Raises AwaitsApproval above the pool's approval threshold, PoolNotFound, ValidationError, IdempotencyKeyReused,
    RequestInProgress, Busy, and as `precondition` does on the pool whose currency and time zone the credits get.
    """
    try:
        return issue_in_pool_at_once(
            actor, pool_id, count=count, request=request, progress=progress, precondition=precondition, **fields
        )
    except ApprovalRequired:
        draft = draft_issue(actor, CreditPool.objects.get(pk=pool_id), count, fields, request)
    raise awaiting_approval(draft)


@atomic_with_retry(idempotent=True)
def issue_in_pool_at_once(
    actor: User,
    pool_id: UUID,
    *,
    count: int,
    request: IdempotentRequest,
    progress: Progress,
    precondition: Precondition,
    **fields: Any,
) -> Issued:
    """Issue in a pool; see issue_in_pool. Raises ApprovalRequired."""

    def issue() -> StoredResponse:
        pool = CreditPool.objects.filter(pk=pool_id).first()
        if pool is None:
            raise PoolNotFound
        precondition(pool)
        issued = issue_many(actor, pool, count=count, progress=progress, **fields)
        return StoredResponse(201, {"issued": issued.count, "batch": str(issued.batch)})

    response, replayed = answer_once(request, issue)
    batch = response.body.get("batch")
    return Issued(response.body["issued"], replayed, UUID(batch) if batch else None)


def issue_many(
    actor: User | None,
    pool: CreditPool,
    *,
    count: int,
    progress: Progress = lambda _: None,
    per_day: int | None = None,
    starts_on: date | None = None,
    batch_id: UUID | None = None,
    **fields: Any,
) -> Issued:
    """Insert `count` equal assets in `pool` within the caller's transaction. Raises ValidationError, ApprovalRequired.

    Arguments:
        per_day: so many can first be claimed on each day, from midnight in the pool's time zone on. None: all at once.
        starts_on: the first of these days, with `per_day` today by default; today's credits can be claimed at once.
        batch_id: the id of the batch, if it was chosen before.
    """
    if not 1 <= count <= MAX_ISSUE_COUNT:
        raise ValidationError({"count": f"Issue 1 to {MAX_ISSUE_COUNT} credits at once."}, code="count")
    templates = [
        (AssetTemplate(build_asset(actor, pool=pool, claimable_from=start, **fields)), size)
        for start, size in daily_starts(pool, count, per_day, starts_on)
    ]
    title = templates[0][0].asset.title
    equal_assets = chain.from_iterable(repeat(TemplatedAsset(template, title), size) for template, size in templates)
    return insert_assets(equal_assets, BatchHeader(title, id=batch_id or uuid7()), progress)


def daily_starts(
    pool: CreditPool, count: int, per_day: int | None, starts_on: date | None
) -> list[tuple[datetime | None, int]]:
    """Return from when (None: at once) how many of `count` credits can be claimed. Raises ValidationError."""
    today = timezone.now().astimezone(ZoneInfo(pool.time_zone)).date()
    first, size = starts_on or today, count if per_day is None else per_day
    if first < today:
        raise ValidationError({"starts_on": ValidationError("That date is in the past.", code="past")})
    if size < 1 or ceil(count / size) > MAX_DAYS or (first - today).days > MAX_DAYS:
        message = f"Credits start on at most {MAX_DAYS:,} days."
        raise ValidationError({"per_day" if size < count else "starts_on": ValidationError(message, code="days")})
    days = [first + timedelta(days=number) for number in range(ceil(count / size))]
    sizes = [size] * (len(days) - 1) + [count - size * (len(days) - 1)]
    return [(start_of(day, pool) if day > today else None, size) for day, size in zip(days, sizes, strict=True)]


def start_of(day: date, pool: CreditPool) -> datetime:
    """Return the first time of a day in the pool's time zone."""
    return pool.end_of(day - timedelta(days=1))


def last_of(
    actor: User | None,
    pool: CreditPool,
    /,
    *,
    count: int,
    per_day: int | None = None,
    starts_on: date | None = None,
    **fields: Any,
) -> tuple[CashbackAsset, datetime | None]:
    """Return the credit of an issue that would start last, unsaved, and when the first ones start. Raises ValidationError."""
    days = daily_starts(pool, count, per_day, starts_on)
    return build_asset(actor, claimable_from=days[-1][0], **fields | {"pool": pool}), days[0][0]


def preview_issue(pool_id: UUID, precondition: Precondition = accept_any, *, count: int, **fields: Any) -> dict[str, Any]:
    """Return what issue_in_pool would issue, without writing. Raises PoolNotFound, ValidationError, and as `precondition`."""
    pool = CreditPool.objects.filter(pk=pool_id).first()
    if pool is None:
        raise PoolNotFound
    precondition(pool)
    asset, starts = last_of(None, pool, count=count, **fields)
    total = count * asset.total_value
    return {
        "count": count,
        "total_value": format_amount(asset.total_value, asset.currency),
        "total": format_amount(total, asset.currency),
        "currency": asset.currency,
        "expires_at": format_timestamp(asset.expires_at),
        "starts_at": format_timestamp(starts),
        "last_starts_at": format_timestamp(asset.claimable_from),
        "needs_approval": pool.approval_threshold is not None and total > pool.approval_threshold,
    }
