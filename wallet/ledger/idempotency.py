"""The answers already given, so that a request sent twice is done once and answered the same."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import OperationalError, connection
from django.db.models.functions import Now

from accounts.models import User
from accounts.refusals import Refusal
from wallet.ledger.models import Entry, IdempotencyKey

KEPT = timedelta(days=7)
LOCK_NOT_AVAILABLE = "55P03"


class IdempotencyKeyReused(Refusal):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was used for a different request. Make a new key for a new request."


class RequestInProgress(Refusal):
    """The first request with this key is still running."""

    code = "request_in_progress"
    detail = "A request with this Idempotency-Key is still running. Ask again in a second with the same key."
    retry_after = 1


@dataclass(frozen=True)
class Request:
    """One request that its sender may repeat: who asks, for what kind of act, under which key, and a digest of the rest."""

    user: User
    route: str
    key: str
    fingerprint: str


@dataclass(frozen=True)
class Answer:
    """What was answered: HTTP status and JSON body."""

    status_code: int
    body: Any


def fingerprint(*parts: object) -> str:
    """Return a digest of what a request asks for (64 hex digits of SHA-256)."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def reserve(request: Request) -> Answer | None:
    """Take the key for this transaction and return None, or return the answer it was given before.

    Waits for a transaction that holds the same key. Raises IdempotencyKeyReused when the key was another request's,
    RequestInProgress when the holder does not end within the lock timeout.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO ledger_idempotencykey (user_id, route, key, fingerprint) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                [request.user.pk, request.route, request.key, request.fingerprint],
            )
            taken = cursor.rowcount == 1
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) == LOCK_NOT_AVAILABLE:
            raise RequestInProgress from error
        raise
    return None if taken else stored(request)


def stored(request: Request) -> Answer:
    """Return the committed answer to `request`; raise IdempotencyKeyReused when it was given to another request."""
    row = IdempotencyKey.objects.filter(user=request.user, route=request.route, key=request.key).first()
    if row is None:
        raise RequestInProgress  # forgotten in this very moment: the next try takes the key anew
    if row.fingerprint != request.fingerprint:
        raise IdempotencyKeyReused
    return Answer(row.status_code or 500, json.loads(row.body or "null"))


def store(request: Request, answer: Answer, entry: Entry | None = None) -> None:
    """Write the answer beside the key, in the same transaction as what it tells of."""
    IdempotencyKey.objects.filter(user=request.user, route=request.route, key=request.key).update(
        status_code=answer.status_code, body=json.dumps(answer.body), entry=entry
    )


def forget_old() -> int:
    """Delete the answers older than 7 days and return how many; an entry keeps its request key for ever."""
    return IdempotencyKey.objects.filter(created_at__lt=Now() - KEPT).delete()[0]
