"""Connections that are reserved for claims: which work may take them (see cashback.database.base.Pool)."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_may_take_reserved: ContextVar[bool] = ContextVar("may_take_reserved", default=False)


def may_take_reserved() -> bool:
    """Return whether what is done now may take a reserved connection."""
    return _may_take_reserved.get()


@contextmanager
def reserved_connections() -> Iterator[None]:
    """Let the work within take the reserved connections, too."""
    before = _may_take_reserved.set(True)
    try:
        yield
    finally:
        _may_take_reserved.reset(before)
