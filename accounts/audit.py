"""The audit log: sign-ins, refusals, exports and changes of users, one JSON object per line, without secrets.

Events are recorded in the actions that every interface calls. A line holds ids and digests, never a password, token or key.
An email appears as a keyed digest, so that lines about the same email can be matched.
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

from accounts.email_addresses import normal_email
from accounts.models import User
from kernel.refusals import Refusal

log = logging.getLogger("cashback.audit")

# The origin of the current request; outside of a request the channel is the shell.
origin: ContextVar[dict[str, str]] = ContextVar("origin")
SHELL = {"door": "shell"}

Event = Literal[
    "register",
    "sign_in",
    "sign_out",
    "password_change",
    "password_reset",
    "email_change",
    "email_verify",
    "two_factor",
    "close",
    "person_change",
    "service_key",
    "person_search",
    "person_view",
    "token_refresh",
    "limit",
    "permission",
    "unsubscribe",
    "export",
    "payment_release",
    "payment_refund",
    "credit_grant",
    "credit_clawback",
    "credit_extend",
    "rule_change",
    "referral_review",
    "proposal",
    "webhook",
]


@contextmanager
def request_origin(**fields: str) -> Iterator[None]:
    """Set the origin of events in this block: `door` (the channel), `ip`, `method`, `path`, `request_id`."""
    token = origin.set(fields)
    try:
        yield
    finally:
        origin.reset(token)


def record_event(event: Event, outcome: Literal["done", "refused"], user: Any = None, **details: str) -> None:
    """Write one event with its user (None if there is none or the user is anonymous) and further fields."""
    user_id = str(user.pk) if isinstance(user, User) else None
    fields = {"time": datetime.now(UTC).isoformat(), "event": event, "outcome": outcome, "user": user_id}
    log.info(json.dumps(fields | origin.get(SHELL) | details))


@contextmanager
def recording_refusal(event: Event, user: Any = None, **details: str) -> Iterator[None]:
    """Record the event as refused, with the codes of the reason, when the block raises a Refusal or ValidationError."""
    try:
        yield
    except (Refusal, ValidationError) as error:
        record_event(event, "refused", user, code=error_codes(error), **details)
        raise


def error_codes(error: Refusal | ValidationError) -> str:
    """Return the code of a refusal, or the codes of all validation errors; never the submitted values."""
    if isinstance(error, Refusal):
        return error.code
    lists = error.error_dict.values() if hasattr(error, "error_dict") else [error.error_list]
    return " ".join(sorted({each_error.code or "invalid" for errors in lists for each_error in errors}))


def email_digest(email: str) -> str:
    """Return a keyed digest of the normalised email, 32 hex digits."""
    return salted_hmac(__name__, normal_email(email).encode(errors="replace"), algorithm="sha256").hexdigest()[:32]
