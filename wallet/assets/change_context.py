"""Who did what, through which door: the context that PostgreSQL writes beside every change of a pool or asset."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pghistory
from django.db import connection

from accounts.models import User

# Set by the doors: "api", "admin", "pages", "clock"; whoever sets nothing came through the shell.
channel: ContextVar[str] = ContextVar("door", default="shell")


@contextmanager
def acting_through_channel(name: str) -> Iterator[None]:
    """Name the door that the acts inside are called through."""
    token = channel.set(name)
    try:
        yield
    finally:
        channel.reset(token)


def recording_change(actor: User | None, act: str) -> Any:
    """Return the context in which the history rows of changes name the act, the door and the person."""
    who = {"user": str(actor.pk), "email": actor.email} if actor else {}
    return pghistory.context(act=act, door=channel.get(), **who)


def tag_issuance() -> None:
    """Tell this transaction which door it came through, for the log of what was issued."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('cashback.door', %s, true)", [channel.get()])
