"""The stream of events: claims, movements and the life of credits, each once, in the order in which they became visible."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from wallet.delivery.cursors import Cursor, InvalidCursor
from wallet.delivery.event_sql import select_events
from wallet.delivery.event_types import TYPES, Source
from wallet.delivery.payloads import read_payloads
from wallet.delivery.ticks import Snapshot, read_tick, tick_after

# The events between two ticks that are read and ordered together; more of them are cut into parts in the order of xids.
MAX_PART = 5_000


class Key(NamedTuple):
    """What orders an event and tells its type; the columns of select_events."""

    source: int
    xid: int
    row: str
    kind: str
    at: datetime
    user: UUID | None
    currency: str | None
    number: int
    is_seen: bool

    @property
    def type(self) -> str:
        """The type of the event."""
        return TYPES[Source(self.source)][self.kind]


class Event(NamedTuple):
    """One event.

    Arguments:
        id: stays the same however often the event is read or sent.
        data: its contents in JSON types.
        after: the position after it.
    """

    id: str
    type: str
    at: datetime
    data: dict[str, Any]
    after: Cursor


class Page(NamedTuple):
    """Some events, the position after them and after what the reader does not see, and whether there may be more."""

    events: list[Event]
    after: Cursor
    has_more: bool


class Part(NamedTuple):
    """The ordered keys of one part of the stream, the position of its beginning and that of its end."""

    keys: list[Key]
    start: Cursor
    end: Cursor


def read_events(after: Cursor, *, service: UUID | None, types: Collection[str] = (), limit: int = 100) -> Page:
    """Return the next events that a service sees, or all when there is none.

    A call reads one part of the stream, however few events of it the service sees. Raises InvalidCursor.

    Arguments:
        after: the position to start from.
        types: the types of events to return; empty: all.
        limit: the most events to return.
    """
    part = read_part(after, service)
    if part is None:
        return Page([], after, has_more=False)
    chosen: list[tuple[int, Key]] = []
    for place, key in enumerate(part.keys[after.offset :], start=after.offset + 1):
        if len(chosen) == limit:
            break
        if key.is_seen and (not types or key.type in types):
            chosen.append((place, key))
    is_full = len(chosen) == limit and chosen[-1][0] < len(part.keys)
    end = position(part, chosen[-1][0]) if is_full else part.end
    payloads = read_payloads([key for _, key in chosen], service)
    events = [
        Event(event_id(key), key.type, key.at, payloads[key.source, key.row], position(part, place)) for place, key in chosen
    ]
    return Page(events, end, has_more=is_full or end.until > 0 or tick_after_exists(end))


def position(part: Part, place: int) -> Cursor:
    """Return the position after so many events of a part."""
    return part.start._replace(offset=place) if place < len(part.keys) else part.end


def tick_after_exists(cursor: Cursor) -> bool:
    """Return whether there are ticks after that of a position."""
    return read_tick(cursor.tick + 1) is not None


def event_id(key: Key) -> str:
    """Return the id of an event."""
    return f"{Source(key.source).name.lower()}_{key.row}"


def read_part(after: Cursor, service: UUID | None) -> Part | None:
    """Return the part of the stream in which a position lies or after which it stands; None at the end of the stream."""
    tick = read_tick(after.tick)
    if tick is None:
        raise InvalidCursor
    until = read_tick(after.until) if after.until else tick_after(tick, MAX_PART)
    if until is None and not after.until:
        return None
    if until is None or until.tick <= tick.tick:
        raise InvalidCursor
    keys = read_keys(after, tick, until, service)
    start = after._replace(until=until.tick, offset=0)
    if len(keys) > MAX_PART:
        keys = keys[:MAX_PART]
        end = Cursor(tick.tick, until.tick, 0, keys[-1].xid, keys[-1].source, keys[-1].row)
    else:
        end = Cursor(until.tick)
    return Part(in_order(keys), start, end)


def read_keys(after: Cursor, tick: Snapshot, until: Snapshot, service: UUID | None) -> list[Key]:
    """Return the first keys between two ticks, one more than a part has, in the order of transactions."""
    parameters = {
        "next": str(tick.next),
        "end": str(until.next),
        "running": tick.running,
        "snapshot": until.text,
        "xid": str(after.xid),
        "row": after.row,
        "service": service,
        "limit": MAX_PART + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(select_events(after.source, of_service=service is not None), parameters)
        return [Key(*row) for row in cursor.fetchall()]


def in_order(keys: list[Key]) -> list[Key]:
    """Return keys by time, the movements of each wallet by number.

    A lapse counts from when it became true, which may be before an earlier movement: it then takes the time of that one.
    """
    times: dict[tuple[int, str], datetime] = {}
    latest: dict[tuple[UUID | None, str | None], datetime] = {}
    for key in sorted(keys, key=lambda key: key.number):
        wallet = (key.user, key.currency)
        if key.number:
            latest[wallet] = max(key.at, latest.get(wallet, key.at))
        times[key.source, key.row] = latest[wallet] if key.number else key.at
    return sorted(keys, key=lambda key: (times[key.source, key.row], key.source, key.number, key.xid))
