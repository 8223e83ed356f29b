"""The context of a change: who made it, by which action and through which channel. PostgreSQL stores it with each change."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

import pghistory
from django.db import connection

from accounts.models import User
from wallet.assets.batches import MAX_FILE_NAME_LENGTH, MAX_TITLE_LENGTH, BatchHeader

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


def open_batch(header: BatchHeader) -> UUID:
    """Set the channel and the batch for this transaction, for the insert trigger, which writes both; return the batch's id."""
    fields = {
        "id": str(header.id),
        "title": header.title[:MAX_TITLE_LENGTH],
        "file_name": header.file_name[:MAX_FILE_NAME_LENGTH],
        "file_digest": header.file_digest,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('cashback.channel', %s, true), set_config('cashback.batch', %s, true)",
            [channel.get(), json.dumps(fields)],
        )
    return header.id
