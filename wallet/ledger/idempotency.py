"""Idempotency keys and stored responses: a request that is sent twice is processed once and gets the same response."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.utils.translation import gettext_noop as _

from accounts.models import User
from accounts.services import Service
from kernel.refusals import Conflict, Unprocessable
from kernel.transactions import sqlstate
from wallet.ledger import key_ring
from wallet.ledger.models import Entry, IdempotencyKey

KEY_PATTERN = "[A-Za-z0-9_-]{16,64}"  # matched against the whole key, by every interface
KEY_RETENTION = timedelta(days=key_ring.RETENTION_DAYS)  # at least; twice as long at most
LOCK_NOT_AVAILABLE = "55P03"
RequestName = tuple[UUID, str, str]  # caller, route, key: they identify a request and its repetitions
# Ordered, so that two transactions cannot deadlock on each other's keys.
RESERVE_KEYS = """\
INSERT INTO ledger_idempotencykey (user_id, route, key, fingerprint)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[]) AS request (user_id, route, key, fingerprint)
{condition} ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING RETURNING user_id, route, key, partition_number
"""
# One probe of the index entry_request_key per key. The planner may turn EXISTS into a join of all entries, a scalar subquery
# not.
WITHOUT_ENTRY = "WHERE (SELECT id FROM ledger_entry WHERE user_id = request.user_id AND request_key = request.key) IS NULL"
STORE_RESPONSES = """\
UPDATE ledger_idempotencykey AS stored SET status_code = response.status_code, body = response.body, entry_id = response.entry
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::smallint[], %s::text[], %s::uuid[])
    AS response (user_id, route, key, status_code, body, entry)
WHERE (stored.user_id, stored.route, stored.key) = (response.user_id, response.route, response.key)
    AND stored.partition_number = %s
"""
RELEASE_KEYS = """\
DELETE FROM ledger_idempotencykey WHERE (user_id, route, key) IN (SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[]))
    AND status_code IS NULL AND partition_number = %s
"""
# A partition is emptied between two transactions of claims, which hold it for milliseconds: how long to wait, and how often.
EMPTYING_LOCK_TIMEOUT_MS = 200
EMPTYING_ATTEMPTS = 20
# The partition in which this thread's transaction reserved its keys: the same for all of them, as now() is constant. With it
# the planner opens one partition and not all.
reserved_partition: ContextVar[int] = ContextVar("reserved_partition")


class IdempotencyKeyReused(Unprocessable):
    code = "idempotency_key_reused"
    meaning = _("The Idempotency-Key was used for a different request.")
    detail = _("This Idempotency-Key was used for a different request. Use a new key for a new request.")


class RequestInProgress(Conflict):
    code = "request_in_progress"
    meaning = _("The first request with this Idempotency-Key is still being processed.")
    detail = _("A request with this Idempotency-Key is still being processed. Try again in a second with the same key.")
    retry_after = 1


@dataclass(frozen=True)
class IdempotentRequest:
    """A request that its client may repeat: the caller, the route (kind of action), the key, and a fingerprint of the rest."""

    caller: User | Service
    route: str
    key: str
    fingerprint: str

    @property
    def user_id(self) -> UUID:
        """The id of the caller, in the table's column for it."""
        return self.caller.pk

    @property
    def name(self) -> RequestName:
        """The identity of the request and its repetitions."""
        return (self.caller.pk, self.route, self.key)


@dataclass(frozen=True)
class StoredResponse:
    """HTTP status and JSON body of a response."""

    status_code: int
    body: Any


def fingerprint(*parts: object) -> str:
    """Return the SHA-256 of the meaning of a request's contents, 64 hex digits: 100 and 100.00 are the same amount."""
    return hashlib.sha256(json.dumps(parts, default=canonical_text).encode()).hexdigest()


def canonical_text(value: object) -> str:
    """Return one text for all notations of an amount or a time; any other value as it is written."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(value.astimezone(UTC)) if isinstance(value, datetime) else str(value)


def reserve_keys(
    requests: Sequence[IdempotentRequest], lock_timeout_ms: int | None = None, *, for_claims: bool = False
) -> set[RequestName]:
    """Insert the keys in this transaction and return the names of the new ones; find_response returns the others' responses.

    Waits for a transaction that holds one of the keys, and raises RequestInProgress after the lock timeout.

    Arguments:
        lock_timeout_ms: the lock timeout of this transaction from here on; None leaves the connection's limit in force.
        for_claims: whether a key under which an entry was recorded counts as used although its response was deleted.
    """
    if not requests:
        return set()
    try:
        with connection.cursor() as cursor:
            columns = request_columns(requests, "user_id", "route", "key", "fingerprint")
            statement = RESERVE_KEYS.format(condition=WITHOUT_ENTRY if for_claims else "")
            if lock_timeout_ms is None:
                cursor.execute(statement, columns)
            else:
                cursor.execute(f"SET LOCAL lock_timeout = {int(lock_timeout_ms)}; {statement}", columns)
                cursor.nextset()
            reserved: set[RequestName] = set()
            for *name, partition in cursor.fetchall():
                reserved_partition.set(partition)
                reserved.add((name[0], name[1], name[2]))
            return reserved
    except OperationalError as error:
        if sqlstate(error) == LOCK_NOT_AVAILABLE:
            raise RequestInProgress from error
        raise


def find_response(request: IdempotentRequest) -> StoredResponse:
    """Return the stored response; raise IdempotencyKeyReused if the key was used for a different request."""
    row = IdempotencyKey.objects.filter(user_id=request.user_id, route=request.route, key=request.key).first()
    if row is not None and row.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused
    if row is None or row.status_code is None:
        # The key was just deleted, and a retry reserves it; or another request of this transaction holds it.
        raise RequestInProgress
    return StoredResponse(row.status_code, json.loads(row.body or "null"))


def store_responses(responses: Iterable[tuple[IdempotentRequest, StoredResponse, Entry | None]]) -> None:
    """Store each response with its key, in the transaction that reserved the keys."""
    rows = [
        (*request.name, response.status_code, json.dumps(response.body), entry and entry.pk)
        for request, response, entry in responses
    ]
    if rows:
        with connection.cursor() as cursor:
            columns: list[Any] = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(STORE_RESPONSES, [*columns, reserved_partition.get()])
            if cursor.rowcount != len(rows):
                raise RuntimeError(f"{len(rows)} responses, but {cursor.rowcount} keys were reserved")


def answer_once(request: IdempotentRequest | None, act: Callable[[], StoredResponse]) -> tuple[StoredResponse, bool]:
    """Return the response of `act` and False, or the stored one and True if the request was answered before.

    In the caller's transaction. Without a request, `act` runs each time. Raises IdempotencyKeyReused, RequestInProgress.
    """
    if request is None:
        return act(), False
    if not reserve_keys([request]):
        return find_response(request), True
    response = act()
    store_responses([(request, response, None)])
    return response, False


def release_keys(requests: Sequence[IdempotentRequest]) -> None:
    """Delete keys that this transaction reserved for requests that were refused, so that they may be sent again."""
    partition = reserved_partition.get(None)
    if requests and partition is not None:  # this thread never reserved a key, if it is None
        with connection.cursor() as cursor:
            keys: list[Any] = request_columns(requests, "user_id", "route", "key")
            cursor.execute(RELEASE_KEYS, [*keys, partition])


def request_columns(requests: Sequence[IdempotentRequest], *names: str) -> list[list[Any]]:
    """Return one list per column, for unnest."""
    return [[getattr(request, name) for request in requests] for name in names]


def forget_old_keys() -> bool:
    """Empty the partition of next week, whose keys are older than KEY_RETENTION; entries keep their request key.

    Returns whether there were any. Gives way to claims; what a long reader prevents is done on another day, and until then the
    keys are remembered for longer.
    """
    for _attempt in range(EMPTYING_ATTEMPTS):
        try:
            with transaction.atomic(durable=True):
                return empty_next_partition()
        except OperationalError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
    return False


def empty_next_partition() -> bool:
    """Truncate the partition that comes after this week's; return whether there was a key in it.

    Also when it is empty: sessions then plan the look-ups of keys again, by the sizes of today.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {EMPTYING_LOCK_TIMEOUT_MS}")
        cursor.execute(f"SELECT {key_ring.NEXT_WEEK}")
        number = int(cursor.fetchone()[0])
        cursor.execute(f"SELECT EXISTS (SELECT FROM {key_ring.TABLE} WHERE partition_number = %s)", [number])  # noqa: S608
        found = bool(cursor.fetchone()[0])
        cursor.execute(f"LOCK TABLE {key_ring.TABLE}_{number} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"SELECT {key_ring.NEXT_WEEK.replace('now()', 'clock_timestamp()')}")
        if int(cursor.fetchone()[0]) != number:  # the week ended while this waited: another night
            return False
        cursor.execute(f"TRUNCATE {key_ring.TABLE}_{number}")
        return found
