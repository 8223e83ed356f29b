"""The answers already given, so that a request sent twice is done once and answered the same."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.utils.translation import gettext_noop as _

from accounts.models import User
from kernel.refusals import Conflict, Unprocessable
from wallet.ledger.models import Entry, IdempotencyKey

KEY_PATTERN = "[A-Za-z0-9_-]{16,64}"  # matched against the whole key, by every interface
KEY_RETENTION = timedelta(days=7)
LOCK_NOT_AVAILABLE = "55P03"
RequestName = tuple[UUID, str, str]  # user, route, key: what the same request sent twice has in common
# In one order, so that no two transactions wait for each other's keys.
RESERVE_KEYS = """\
INSERT INTO ledger_idempotencykey (user_id, route, key, fingerprint)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[]) AS asked (user_id, route, key, fingerprint)
{condition} ORDER BY 1, 2, 3
ON CONFLICT DO NOTHING RETURNING user_id, route, key
"""
# One probe of entry_request_key for each key. A value and not EXISTS, which the planner may turn into a join of all entries.
UNCLAIMED = "WHERE (SELECT id FROM ledger_entry WHERE user_id = asked.user_id AND request_key = asked.key) IS NULL"
STORE_RESPONSES = """\
UPDATE ledger_idempotencykey AS kept SET status_code = given.status_code, body = given.body, entry_id = given.entry
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::smallint[], %s::text[], %s::uuid[])
    AS given (user_id, route, key, status_code, body, entry)
WHERE (kept.user_id, kept.route, kept.key) = (given.user_id, given.route, given.key)
"""
RELEASE_KEYS = """\
DELETE FROM ledger_idempotencykey WHERE (user_id, route, key) IN (SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[]))
    AND status_code IS NULL
"""


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
    """One request that its sender may repeat: who asks, for what kind of act, under which key, and a digest of the rest."""

    user: User
    route: str
    key: str
    fingerprint: str

    @property
    def user_id(self) -> UUID:
        """Who asks."""
        return self.user.pk

    @property
    def name(self) -> RequestName:
        """What it has in common with the same request sent again."""
        return (self.user.pk, self.route, self.key)


@dataclass(frozen=True)
class StoredResponse:
    """What was answered: HTTP status and JSON body."""

    status_code: int
    body: Any


def fingerprint(*parts: object) -> str:
    """Return a digest of what a request asks for (64 hex digits of SHA-256)."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def reserve_keys(
    requests: Sequence[IdempotentRequest], patience_ms: int | None = None, *, for_claims: bool = False
) -> set[RequestName]:
    """Take the keys for this transaction and return the names that were free; `stored` has the answer to the others.

    Waits for a transaction that holds one of the keys. Raises RequestInProgress when it does not end within the lock timeout.

    Arguments:
        patience_ms: how long this transaction waits for any lock from here on; None: as long as the connection's limit says.
        for_claims: a key that an entry was written under is not free, although its answer may be forgotten.
    """
    if not requests:
        return set()
    try:
        with connection.cursor() as cursor:
            asked = request_columns(requests, "user_id", "route", "key", "fingerprint")
            statement = RESERVE_KEYS.format(condition=UNCLAIMED if for_claims else "")
            if patience_ms is None:
                cursor.execute(statement, asked)
            else:
                cursor.execute(f"SET LOCAL lock_timeout = {int(patience_ms)}; {statement}", asked)
                cursor.nextset()
            return set(cursor.fetchall())
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) == LOCK_NOT_AVAILABLE:
            raise RequestInProgress from error
        raise


def find_response(request: IdempotentRequest) -> StoredResponse:
    """Return the answer given to `request` before; raise IdempotencyKeyReused when it was given to another request."""
    row = IdempotencyKey.objects.filter(user=request.user, route=request.route, key=request.key).first()
    if row is not None and row.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused
    if row is None or row.status_code is None:
        # Forgotten in this very moment: the next try takes it anew. Or a neighbour in this transaction holds it.
        raise RequestInProgress
    return StoredResponse(row.status_code, json.loads(row.body or "null"))


def store_responses(answers: Iterable[tuple[IdempotentRequest, StoredResponse, Entry | None]]) -> None:
    """Write each answer beside its key, in the same transaction as what it tells of."""
    rows = [
        (*request.name, answer.status_code, json.dumps(answer.body), entry and entry.pk) for request, answer, entry in answers
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(STORE_RESPONSES, [list(column) for column in zip(*rows, strict=True)])


def release_keys(requests: Sequence[IdempotentRequest]) -> None:
    """Give back keys reserved in this transaction, whose requests were refused: they may be asked again."""
    if requests:
        with connection.cursor() as cursor:
            cursor.execute(RELEASE_KEYS, request_columns(requests, "user_id", "route", "key"))


def request_columns(requests: Sequence[IdempotentRequest], *names: str) -> list[list[Any]]:
    """Return the requests as one list a column, for unnest."""
    return [[getattr(request, name) for request in requests] for name in names]


def delete_old_keys() -> int:
    """Delete the answers older than 7 days and return how many; an entry keeps its request key for ever."""
    return IdempotencyKey.objects.filter(created_at__lt=Now() - KEY_RETENTION).delete()[0]
