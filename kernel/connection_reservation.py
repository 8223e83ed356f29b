"""The permission to take the connections that a pool reserves for claims (cashback.database.base.Pool)."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_may_take_reserved: ContextVar[bool] = ContextVar("may_take_reserved", default=False)


def may_take_reserved() -> bool:
    """Return whether the current work may take a reserved connection."""
    return _may_take_reserved.get()


@contextmanager
def reserved_connections() -> Iterator[None]:
    """Allow the code in this block to take reserved connections."""
    token = _may_take_reserved.set(True)
    try:
        yield
    finally:
        _may_take_reserved.reset(token)
