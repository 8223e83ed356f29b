"""The change history of one pool or credit: each change with its time, actor, channel and the values before and after."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from wallet.assets.models import CashbackAsset, CreditPool, Issuance
from wallet.ledger.models import Entry

MOST = 200  # changes shown, the latest
POOL_FIELDS = (
    *("name", "kind", "currency", "per_user_limit", "period_limit", "limit_period", "opens_at", "closes_at", "is_active"),
    *("grants_only", "time_zone", "archived_at", "budget", "credit_title", "credit_value", "credit_lifetime"),
)
ASSET_FIELDS = ("title", "total_value", "currency", "pool_id", "expires_at", "status")
UNKNOWN: Any = object()  # the value of a field before its first recorded change


@dataclass(frozen=True)
class Change:
    """One change.

    `fields` are (name, before, after); `row` is the entry or credit that it created or came from. `who` is an email, None for
    the scheduler; `channel` is None where it is not recorded.
    """

    at: datetime
    action: str
    who: str | None
    channel: str | None
    fields: list[tuple[str, Any, Any]] = field(default_factory=list)
    row: Any = None


def of_pool(pool: CreditPool) -> list[Change]:
    """Return the latest changes of a pool, newest first."""
    return list(field_changes(CreditPool, pool.pk, POOL_FIELDS))


def of_asset(asset: CashbackAsset) -> list[Change]:
    """Return the history of a credit, newest first: its issue, changes and claim, and the credits recreated from it."""
    found = list(field_changes(CashbackAsset, asset.pk, ASSET_FIELDS))
    for entry in Entry.objects.filter(asset=asset).select_related("user"):
        found.append(Change(entry.claimed_at, "claim", entry.user.email, None, [("status", "AVAILABLE", "CLAIMED")], entry))
    for child in asset.children.select_related("created_by"):
        who = child.created_by.email if child.created_by else None
        found.append(Change(child.created_at, "recreate", who, None, row=child))
    return [*sorted(found, key=lambda change: change.at, reverse=True), issuance_change(asset)]


def last_change(row: CreditPool | CashbackAsset, name: str) -> Change | None:
    """Return the latest change of one field of a pool or credit, or None."""
    names = POOL_FIELDS if isinstance(row, CreditPool) else ASSET_FIELDS
    changes = field_changes(type(row), row.pk, names)
    return next((change for change in changes if name in [each.removesuffix("_id") for each, *_ in change.fields]), None)


def issuance_change(asset: CashbackAsset) -> Change:
    """Return the issue of a credit; its channel comes from the issue log, which the same statement wrote."""
    issuance = Issuance.objects.filter(issued_at=asset.created_at, created_by=asset.created_by_id).first()
    who = asset.created_by.email if asset.created_by else None
    return Change(asset.created_at, "issue", who, issuance.channel if issuance else None, row=asset.recreated_from)


def field_changes(model: Any, pk: UUID, names: tuple[str, ...]) -> Iterator[Change]:
    """Yield the latest changes of a model's row, newest first, each compared with the change before it."""
    history = model.pgh_event_model.objects.filter(pgh_obj_id=pk).select_related("pgh_context").order_by("-pgh_id")
    events = list(history[: MOST + 1])
    for event, before in pairwise([*events, None]):
        if len(events) > MOST and before is None:
            return
        context = event.pgh_context.metadata if event.pgh_context else {}
        action = context.get("action", event.pgh_label)
        fields = list(changed_fields(event, before, names))
        yield Change(event.pgh_created_at, action, context.get("email"), context.get("channel"), fields)


def changed_fields(event: Any, before: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, before, after) of each field that changed."""
    kept = before_of(event)
    if kept is not None:
        # The event holds the earlier values itself: the history of a credit begins with its first change, not with its issue.
        pairs = ((name, earlier_value(event, name, kept[name]), getattr(event, name)) for name in names if name in kept)
        yield from ((name, was, now) for name, was, now in pairs if was != now)
    elif before is None and event.pgh_label == "update" and event.status == "EXPIRED":
        yield "status", "AVAILABLE", "EXPIRED"  # a trigger refuses any other change with it
    elif before is not None or event.pgh_label == "insert":
        for name in names:
            if (was := getattr(before, name, None)) != (after := getattr(event, name)):
                yield name, was, after
    else:
        yield from ((name, UNKNOWN, getattr(event, name)) for name in names)


def before_of(event: Any) -> dict[str, str | None] | None:
    """Return the recorded values before a change, or None. The oldest events have them in their context, if at all."""
    if getattr(event, "before", None) is not None:
        return dict(event.before)
    return event.pgh_context.metadata.get("before") if event.pgh_context else None


def earlier_value(event: Any, name: str, was: str | None) -> Any:
    """Return a field's earlier value from its recorded text."""
    return event._meta.get_field(name.removesuffix("_id")).to_python(was)
