"""A ledger with claims, and a superuser who changes its tables."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger.triggers import ENABLE_ALWAYS


@pytest.fixture
def make_claims(issue: Callable[..., CashbackAsset], alice: User) -> Callable[[int], list[str]]:
    """Make that many claims, each in a transaction of its own, and return the ids of their entries."""

    def make(count: int) -> list[str]:
        return [claim_asset(issue().pk, alice).receipt["id"] for _ in range(count)]

    return make


@pytest.fixture
def attack() -> Callable[..., None]:
    """Run SQL as a superuser who has switched every trigger off."""

    def run(statement: str, *values: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN; SET LOCAL session_replication_role = replica")
            cursor.execute("ALTER TABLE ledger_entry DISABLE TRIGGER USER; ALTER TABLE ledger_seal DISABLE TRIGGER USER")
            cursor.execute(statement, values)
            cursor.execute(ENABLE_ALWAYS)
            cursor.execute("COMMIT")

    return run
