"""What became of one pool or credit: every change with who, when, through which door, and what it was before."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

from wallet.assets.models import CashbackAsset, CreditPool, Issuance
from wallet.ledger.models import Entry

MOST = 200  # of the latest; a person reads no more
POOL_FIELDS = ("name", "kind", "currency", "per_user_limit", "opens_at", "closes_at", "is_active", "time_zone")
ASSET_FIELDS = ("title", "total_value", "currency", "pool_id", "expires_at", "status")
UNKNOWN: Any = object()  # what a field was before the first change that was kept of it


@dataclass(frozen=True)
class Change:
    """One thing that was done: `fields` are (name, before, after), `row` is what it made or refers to."""

    at: datetime
    act: str
    who: str | None
    door: str | None
    fields: list[tuple[str, Any, Any]] = field(default_factory=list)
    row: Any = None


def of_pool(pool: CreditPool) -> list[Change]:
    """Return the latest changes of a pool, newest first."""
    return list(field_changes(CreditPool, pool.pk, POOL_FIELDS))


def of_asset(asset: CashbackAsset) -> list[Change]:
    """Return all that happened to a credit, newest first: issue, changes, claim, and what was recreated from it."""
    found = list(field_changes(CashbackAsset, asset.pk, ASSET_FIELDS))
    for entry in Entry.objects.filter(asset=asset).select_related("user"):
        found.append(Change(entry.claimed_at, "claim", entry.user.email, None, [("status", "AVAILABLE", "CLAIMED")], entry))
    for child in asset.children.select_related("created_by"):
        who = child.created_by.email if child.created_by else None
        found.append(Change(child.created_at, "recreate", who, None, row=child))
    return [*sorted(found, key=lambda change: change.at, reverse=True), issuance_change(asset)]


def issuance_change(asset: CashbackAsset) -> Change:
    """Return how a credit came to be; the log of issues, written by the same statement, knows the door."""
    door = Issuance.objects.filter(issued_at=asset.created_at, created_by=asset.created_by_id).first()
    who = asset.created_by.email if asset.created_by else None
    return Change(asset.created_at, "issue", who, door.door if door else None, row=asset.recreated_from)


def field_changes(model: Any, pk: UUID, names: tuple[str, ...]) -> Iterator[Change]:
    """Yield the latest rows of a model's history, newest first, each against the one before it."""
    history = model.pgh_event_model.objects.filter(pgh_obj_id=pk).select_related("pgh_context").order_by("-pgh_id")
    events = list(history[: MOST + 1])
    for event, before in pairwise([*events, None]):
        if len(events) > MOST and before is None:
            return
        said = event.pgh_context.metadata if event.pgh_context else {}
        act = said.get("act", event.pgh_label)
        yield Change(event.pgh_created_at, act, said.get("email"), said.get("door"), list(changed_fields(event, before, names)))


def changed_fields(event: Any, before: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, before, after) of each field that changed."""
    kept = before_of(event)
    if kept is not None:
        # The row itself says what it was: the trail of a credit begins with its first change, not with its issue.
        pairs = ((name, earlier_value(event, name, kept[name]), getattr(event, name)) for name in names if name in kept)
        yield from ((name, was, now) for name, was, now in pairs if was != now)
    elif before is None and event.pgh_label == "update" and event.status == "EXPIRED":
        yield "status", "AVAILABLE", "EXPIRED"  # an expiry changes nothing else: PostgreSQL sees to it
    elif before is not None or event.pgh_label == "insert":
        for name in names:
            if (was := getattr(before, name, None)) != (after := getattr(event, name)):
                yield name, was, after
    else:
        yield from ((name, UNKNOWN, getattr(event, name)) for name in names)


def before_of(event: Any) -> dict[str, str | None] | None:
    """Return what a change kept of the row as it was; the oldest rows have it, if at all, from the act that changed them."""
    if getattr(event, "before", None) is not None:
        return dict(event.before)
    return event.pgh_context.metadata.get("before") if event.pgh_context else None


def earlier_value(event: Any, name: str, was: str | None) -> Any:
    """Return a field's earlier content from the text in which it was kept."""
    return event._meta.get_field(name.removesuffix("_id")).to_python(was)
