"""Fixtures of the tests of actions: idempotency keys, and all rows of the database."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.models import User
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry, IdempotencyKey


@pytest.fixture
def ask() -> Callable[..., IdempotentRequest]:
    """Make the request of one claim; a new key unless one is named."""

    def make(user: User, what: UUID, key: str | None = None) -> IdempotentRequest:
        return IdempotentRequest(user, "claim", key or uuid4().hex, fingerprint("pool", what))

    return make


@pytest.fixture
def everything() -> Callable[[], list[Any]]:
    """Return all rows of money, to be compared before and after an act that was refused."""

    def read() -> list[Any]:
        tables = (CreditPool, CashbackAsset, Entry, IdempotencyKey)
        return [list(table.objects.order_by("pk").values()) for table in tables]

    return read
