"""Races are run once and looked at by several tests."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from wallet.proofs.attempts import Attempt
from wallet.proofs.plan import Plan
from wallet.proofs.prove import prove
from wallet.proofs.report import Report


@dataclass(frozen=True)
class Race:
    report: Report
    log: list[Attempt]


@pytest.fixture(scope="session")
def run(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Callable[[Plan], Race]:
    """Run a race on the test server, in a database of its own."""

    def race(plan: Plan) -> Race:
        with django_db_blocker.unblock():
            try:
                return Race(*prove(plan))
            finally:
                connection.close()

    return race


def scratch_databases() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'prove\\_%'")
        return [name for (name,) in cursor.fetchall()]
