"""What a security officer asks later: who signed in, who was refused, who took data out; one line of JSON each, no secret.

Recorded at the one place that every door passes. A line holds ids and digests: no password, token or key, and of an email
only a keyed digest, by which lines about the same one can be told.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from django.core.exceptions import ValidationError
from django.utils.crypto import salted_hmac

from accounts.models import User, normal_email
from kernel.refusals import Refusal

log = logging.getLogger("cashback.audit")

# Where the request that is being answered came from; outside of one, somebody sits at the shell.
origin: ContextVar[dict[str, str]] = ContextVar("origin")
SHELL = {"door": "shell"}

Event = Literal[
    "register",
    "sign_in",
    "sign_out",
    "password_change",
    "email_change",
    "person_change",
    "token_refresh",
    "limit",
    "permission",
    "export",
]


@contextmanager
def request_origin(**where: str) -> Iterator[None]:
    """Name where the events inside come from: `door`, `ip`, `method`, `path`."""
    token = origin.set(where)
    try:
        yield
    finally:
        origin.reset(token)


def record_event(event: Event, outcome: Literal["done", "refused"], user: Any = None, **more: str) -> None:
    """Write one event, with who caused it (None or anonymous: nobody known) and what else is to be known of it."""
    who = str(user.pk) if isinstance(user, User) else None
    facts = {"time": datetime.now(UTC).isoformat(), "event": event, "outcome": outcome, "user": who}
    log.info(json.dumps(facts | origin.get(SHELL) | more))


@contextmanager
def recording_refusal(event: Event, user: Any = None, **more: str) -> Iterator[None]:
    """Record the event as refused, with the code or codes of the reason, when a refusal or ValidationError leaves the block."""
    try:
        yield
    except (Refusal, ValidationError) as error:
        record_event(event, "refused", user, code=code_of(error), **more)
        raise


def code_of(error: Refusal | ValidationError) -> str:
    """Return the code of a refusal, or the codes of everything that was found invalid; never what was sent."""
    if isinstance(error, Refusal):
        return error.code
    lists = error.error_dict.values() if hasattr(error, "error_dict") else [error.error_list]
    return " ".join(sorted({one.code or "invalid" for errors in lists for one in errors}))


def email_digest(email: str) -> str:
    """Return 32 hex digits that stand for an email, however it is typed; without our key nobody finds out which."""
    return salted_hmac(__name__, normal_email(email).encode(errors="replace"), algorithm="sha256").hexdigest()[:32]
