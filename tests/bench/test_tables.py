"""The tables that measurements fill in bulk."""

import pytest
from django.db import connection

from dev.bench.tables import Tables
from dev.bench.verify import HISTORY
from tests.plans.conftest import database_with
from wallet.actions import open_lots
from wallet.actions.seal_ledger import seal_all
from wallet.ledger.models import Entry, Lot, Payment
from wallet.verification.checker import snapshot_connection, verify_everything

pytestmark = pytest.mark.django_db(transaction=True)


def counts() -> tuple[int, int, int]:
    return Entry.objects.count(), Lot.objects.count(), Payment.objects.count()


def test_filled_tables_break_no_invariant_of_claims_and_payments() -> None:
    with database_with(Tables(assets=300, entries=100, people=10, heavy=20, payments=40)):
        with connection.cursor() as cursor:
            for statement in HISTORY.split(";"):
                cursor.execute(statement)
        seal_all()
        with snapshot_connection() as reader:
            found = verify_everything(reader)

        assert counts() == (100, 100, 40)
        assert found == []
        assert not open_lots.are_lots_missing()


def test_claims_from_before_there_were_lots_wait_for_them() -> None:
    with database_with(Tables(assets=300, entries=100, people=10, lots=False)):
        before = counts()
        open_lots.open_lots()

        assert (before, counts()) == ((100, 0, 0), (100, 100, 0))
