"""What the tests of the acts share: keys, crowds and a second connection."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection

from accounts.models import User
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import Request, fingerprint
from wallet.ledger.models import Entry, IdempotencyKey


@pytest.fixture
def ask() -> Callable[..., Request]:
    """Make the request of one claim; a new key unless one is named."""

    def make(user: User, what: UUID, key: str | None = None) -> Request:
        return Request(user, "claim", key or uuid4().hex, fingerprint("pool", what))

    return make


@pytest.fixture
def crowd() -> Callable[[int], list[User]]:
    """Insert that many users."""

    def make(size: int) -> list[User]:
        return User.objects.bulk_create(User(email=f"user{n}@example.com", password="!") for n in range(size))

    return make


@pytest.fixture
def elsewhere() -> Iterator[psycopg.Connection[Any]]:
    """Another client of the same database, in a transaction of its own."""
    settings = connection.get_connection_params()
    for name in ("cursor_factory", "context", "prepare_threshold"):
        settings.pop(name, None)
    with psycopg.connect(**settings) as other:
        yield other
        other.rollback()


@pytest.fixture
def everything() -> Callable[[], list[Any]]:
    """Return all rows of money, to be compared before and after an act that was refused."""

    def read() -> list[Any]:
        tables = (CreditPool, CashbackAsset, Entry, IdempotencyKey)
        return [list(table.objects.order_by("pk").values()) for table in tables]  # type: ignore[attr-defined]

    return read
