"""Reads from a replica: which work may read there, whether the replica is there yet, and what happens when it fails.

A request is offered the replica (`offering`, cashback.http.replica) with the position of its sender's last write. An expensive
read asks for a server (`choose_server`) and reads from it (`reading_from`): the replica if it has replayed that position, else
the primary. Whatever is not offered the replica never reads from it: writes, actions, authentication, commands and tasks. Code
in a transaction on the primary reads from the primary, so that no decision is taken from a replica.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import psycopg
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from kernel.batching import Batcher
from kernel.fallbacks import Fallback

log = logging.getLogger(__name__)
PRIMARY, REPLICA = "default", "replica"
START = "0/0"  # the position of those who have written nothing
WAIT_SECONDS, POLL_SECONDS = 0.05, 0.005
RETRY_SECONDS = 5.0  # after a failure one request per so many seconds tries the replica
TIMEOUTS = {"57014", "55P03"}  # the read itself took too long: it would at the primary as well
UNREACHABLE = Fallback("replica.unreachable", f"the replica does not answer; the primary is read for {RETRY_SECONDS:g} s", log)
BEHIND = Fallback("replica.behind", "the replica is behind, or no standby; the primary was read", log)
FAILED = Fallback("replica.failed", "the replica failed during a read, which was repeated at the primary", log)

# A standby that receives and has replayed everything is not late, however long ago the last transaction was.
STATE = """
SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn() >= %(position)s::pg_lsn, false),
    coalesce(clock_timestamp() - pg_last_xact_replay_timestamp() <= make_interval(secs => %(lag)s), false)
    OR (pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AND EXISTS (SELECT FROM pg_stat_wal_receiver))
"""
POSITION = "SELECT pg_current_wal_flush_lsn()::text"  # at or after every commit that was acknowledged


class ReplicaBehind(OperationalError):
    """The replica lacks what this read needs, so the request is repeated at the primary."""


@dataclass
class Offer:
    """The permission of one request to read from the replica.

    Arguments:
        position: of the last write of its sender, as PostgreSQL writes it (pg_lsn).
        failed: whether the replica failed meanwhile; the request is then repeated at the primary.
    """

    position: str
    failed: bool = False


class Circuit:
    """A circuit breaker: after a failure one attempt per RETRY_SECONDS, until one succeeds."""

    def __init__(self) -> None:
        self.retry_at = 0.0  # monotonic; 0 while the replica answers
        self.mutex = threading.Lock()

    def admits(self) -> bool:
        """Return whether to try the replica now. Side effect: reserves the attempt that is due."""
        if not self.retry_at:
            return True
        with self.mutex:
            now = time.monotonic()
            if now < self.retry_at:
                return False
            self.retry_at = now + RETRY_SECONDS
            return True

    def open(self) -> None:
        """Stop trying for RETRY_SECONDS."""
        self.retry_at = time.monotonic() + RETRY_SECONDS

    def close(self) -> None:
        """Try always."""
        self.retry_at = 0.0


CIRCUIT = Circuit()
_offer: ContextVar[Offer | None] = ContextVar("replica_offer", default=None)
_server: ContextVar[str] = ContextVar("read_server", default=PRIMARY)


@contextmanager
def offering(position: str) -> Iterator[Offer]:
    """Allow the expensive reads of the block to use the replica from this position on."""
    offer = Offer(position)
    token = _offer.set(offer)
    try:
        yield offer
    finally:
        _offer.reset(token)


def is_repetition() -> bool:
    """Return whether the request is being repeated at the primary: it was counted against its limits before."""
    offer = _offer.get()
    return offer is not None and offer.failed


def choose_server() -> str:
    """Return REPLICA if the request may read from it and it is there, else PRIMARY; wait up to WAIT_SECONDS for it."""
    offer = _offer.get()
    if offer is None or offer.failed or not CIRCUIT.admits():
        return PRIMARY
    try:
        is_there = has_reached(offer.position)
    except (OperationalError, InterfaceError):
        CIRCUIT.open()
        UNREACHABLE.record()
        connections[REPLICA].close()
        return PRIMARY
    CIRCUIT.close()
    connections[REPLICA].close_if_unusable_or_obsolete()
    if not is_there:
        BEHIND.record()
    return REPLICA if is_there else PRIMARY


def has_reached(position: str) -> bool:
    """Return whether the replica shows everything up to the position, and is not late; wait for it up to WAIT_SECONDS."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with connections[REPLICA].cursor() as cursor:
            cursor.execute(STATE, {"position": position, "lag": settings.DATABASE_REPLICA_MAX_LAG})
            is_standby, is_there, is_current = cursor.fetchone()
        if not is_standby or not is_current:
            return False
        if is_there or time.monotonic() >= deadline:
            return bool(is_there)
        time.sleep(POLL_SECONDS)


@contextmanager
def reading_from(server: str) -> Iterator[None]:
    """Have the block's reads go to this server, unless they are in a transaction on the primary."""
    token = _server.set(server)
    try:
        yield
    finally:
        _server.reset(token)
        if server == REPLICA and not connections[REPLICA].in_atomic_block:
            connections[REPLICA].close_if_unusable_or_obsolete()


def read_alias() -> str:
    """Return the alias of the connection that reads use now."""
    if _server.get() == PRIMARY or connections[PRIMARY].in_atomic_block:
        return PRIMARY
    return REPLICA


def read_connection() -> BaseDatabaseWrapper:
    """Return the connection that reads use now."""
    return connections[read_alias()]


def require_all_committed() -> None:
    """Make sure that reads see everything that the primary has committed so far; raise ReplicaBehind if they do not."""
    offer = _offer.get()
    if offer is None or read_alias() == PRIMARY or has_reached(read_wal_position()):
        return
    BEHIND.record()
    offer.failed = True
    raise ReplicaBehind


def note_failure(error: BaseException) -> None:
    """Have the request repeated at the primary if the error of the replica interrupted its reads."""
    offer = _offer.get()
    if offer is None or _server.get() == PRIMARY or not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return
    if getattr(error, "sqlstate", None) not in TIMEOUTS:
        offer.failed = True


def read_wal_position() -> str:
    """Return the position of the primary, at or after each commit that was acknowledged before."""
    with connection.cursor() as cursor:
        cursor.execute(POSITION)
        return str(cursor.fetchone()[0])


def read_wal_positions(asked: Sequence[None]) -> list[str]:
    """Return the position once for each who asks."""
    return [read_wal_position()] * len(asked)


# A position that is read after all of them asked covers what each of them wrote.
position_batcher: Batcher[None, str] = Batcher("positions", read_wal_positions, lambda _: read_wal_position())
