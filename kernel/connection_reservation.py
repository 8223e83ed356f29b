"""The permission to take the connections that a pool reserves for claims (cashback.database.base.Pool)."""

from contextvars import ContextVar, Token

_may_take_reserved: ContextVar[bool] = ContextVar("may_take_reserved", default=False)


def may_take_reserved() -> bool:
    """Return whether the current work may take a reserved connection."""
    return _may_take_reserved.get()


class reserved_connections:  # noqa: N801  (used like a function; a generator would cost every claim twice as much)
    """Allow the code in this block to take reserved connections."""

    __slots__ = ("token",)

    def __enter__(self) -> None:
        self.token: Token[bool] = _may_take_reserved.set(True)

    def __exit__(self, *error: object) -> None:
        _may_take_reserved.reset(self.token)
