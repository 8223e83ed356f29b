"""Ticks: snapshots of the database between which the stream of events is read, as PgQ does it.

A transaction's id is given when it first writes, so that neither ids nor xids are in the order of commits, and two changes of
one wallet may have xids in the reverse of their order. Snapshots know no such difference: what one change saw, an earlier
snapshot saw too, or both are in the same interval. Nor does a long transaction delay the events of others.
"""

from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from wallet.delivery.event_sql import count_new
from wallet.delivery.models import Tick

BEGINNING = "1:1:"  # the snapshot before the first transaction
MAX_COUNTED = 100_000  # of each table; a tick after a longer pause counts no more
# One statement, whose snapshot is the tick's. The tick before was read earlier, so that the snapshot sees it: ticks are in the
# order of their snapshots. Of two concurrent statements one inserts nothing. The planner must know the numbers, or it would
# scan the tables for the few rows at their end.
APPEND = f"""
WITH new AS MATERIALIZED (SELECT {count_new()} AS count)
INSERT INTO delivery_tick (id, snapshot, total)
    SELECT %(tick)s, pg_current_snapshot()::text, %(total)s + new.count FROM new WHERE new.count > 0
ON CONFLICT DO NOTHING RETURNING id
"""  # noqa: S608  (made of our own names)


class Snapshot(NamedTuple):
    """A tick as it is read: the snapshot's text, the id that the next transaction had got, and the ids of running ones."""

    tick: int
    text: str
    next: int
    running: list[str]
    total: int


def append_tick() -> int | None:
    """Add a tick if there are events that the last one does not see; return its id, None if there are none."""
    last = read_tick(last_tick())
    assert last is not None  # ticks are never deleted
    parameters: dict[str, Any] = {"tick": last.tick + 1, "total": last.total, "next": str(last.next), "running": last.running}
    with connection.cursor() as cursor:
        cursor.execute(APPEND, parameters | {"most": MAX_COUNTED})
        row = cursor.fetchone()
    return row[0] if row else None


def last_tick() -> int:
    """Return the id of the last tick; 0 when there is none."""
    return Tick.objects.order_by("-id").values_list("id", flat=True).first() or 0


def tick_before(moment: datetime) -> int:
    """Return the last tick at or before a time; 0: the beginning."""
    return Tick.objects.filter(at__lte=moment).order_by("-at", "-id").values_list("id", flat=True).first() or 0


def read_tick(number: int) -> Snapshot | None:
    """Return a tick, None if there is none of this number. Tick 0 is the beginning."""
    if number == 0:
        return parse_snapshot(0, BEGINNING, 0)
    row = Tick.objects.filter(pk=number).values_list("id", "snapshot", "total").first()
    return parse_snapshot(*row) if row else None


def tick_after(tick: Snapshot, most: int) -> Snapshot | None:
    """Return the last tick that has at most so many events after `tick`, else the next one; None if there is none."""
    ticks = Tick.objects.values_list("id", "snapshot", "total")
    found = ticks.filter(total__gt=tick.total, total__lte=tick.total + most).order_by("-total").first()
    row = found or ticks.filter(id=tick.tick + 1).first()
    return parse_snapshot(*row) if row else None


def parse_snapshot(number: int, text: str, total: int) -> Snapshot:
    """Return the parts of a pg_snapshot: `xmin:xmax:xip,xip,…`."""
    _lowest, following, running = text.split(":")
    return Snapshot(number, text, int(following), running.split(",") if running else [], total)
