"""The context of a change: who made it, by which action and through which channel. PostgreSQL stores it with each change."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pghistory
from django.db import connection

from accounts.models import User

# "api", "admin", "pages" and "scheduler" are set by the interfaces; "shell" is every other Python process. Raw SQL is "sql".
channel: ContextVar[str] = ContextVar("channel", default="shell")


@contextmanager
def acting_through_channel(name: str) -> Iterator[None]:
    """Set the channel of the actions called inside."""
    token = channel.set(name)
    try:
        yield
    finally:
        channel.reset(token)


def recording_change(actor: User | None, action: str) -> Any:
    """Return the context manager whose changes are recorded with the action, the channel and the actor.

    Arguments:
        actor: the operator; None for the scheduler.
        action: the verb, such as "update" or "expire due".
    """
    person = {"user": str(actor.pk), "email": actor.email} if actor else {}
    return pghistory.context(action=action, channel=channel.get(), **person)


def tag_issuance() -> None:
    """Set the channel for this transaction, for the rows of Issuance that the insert trigger writes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('cashback.channel', %s, true)", [channel.get()])
