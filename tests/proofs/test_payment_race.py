"""Small races of payments: green with the wallet's lock, red without it, and nothing is left behind."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import DjangoDbBlocker

from dev.payment_race.launch import launch_payment_race
from dev.payment_race.mutant import remove_guards
from dev.payment_race.plan import PaymentPlan
from dev.payment_race.report import PaymentReport
from tests.proofs.conftest import scratch_databases
from wallet.ledger.models import Payment
from wallet.verification.payment_log import PaymentAttempt

pytestmark = pytest.mark.xdist_group("races")
Race = tuple[PaymentReport, list[PaymentAttempt]]


@pytest.fixture(scope="session")
def pay_at_once(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Callable[..., Race]:
    """Run a race of payments on the test server, in a database of its own."""

    def race(**changes: bool) -> Race:
        plan = PaymentPlan(wallets=2, lots=10, connections=16, orders=3, seed=1, **changes)
        with django_db_blocker.unblock():
            try:
                return launch_payment_race(plan)
            finally:
                connection.close()

    return race


@pytest.fixture(scope="session")
def with_lock(pay_at_once: Callable[..., Race]) -> Race:
    return pay_at_once()


@pytest.fixture(scope="session")
def without_lock(pay_at_once: Callable[..., Race]) -> Race:
    return pay_at_once(without_lock=True)


def test_a_race_over_http_breaks_no_promise(pay_at_once: Callable[..., Race]) -> None:
    pytest.importorskip("accounts.service_keys", reason="the API of payments is not there")
    report, _ = pay_at_once(http=True)

    assert (report.violations, report.unknown) == ([], {})
    assert report.paid == 2 * 14


def test_a_race_of_payments_breaks_no_promise(with_lock: Race) -> None:
    report, _ = with_lock

    assert report.violations == []
    assert report.unknown == {}


def test_each_wallet_is_emptied_to_the_last_payment(with_lock: Race) -> None:
    report, _ = with_lock

    assert report.paid == 2 * 14
    assert report.refusals["insufficient_credit"] >= 2 * (16 * 2 - 14)


def test_orders_take_every_step(with_lock: Race) -> None:
    report, _ = with_lock

    assert set(report.done) == {"spend", "hold", "capture", "release", "refund"}


def test_repeated_payments_get_their_first_payment(with_lock: Race) -> None:
    _, log = with_lock
    told: dict[tuple[str, str], list[str]] = {}
    for attempt in log:
        if attempt.step == "spend" and attempt.payment:
            told.setdefault((attempt.user, attempt.reference), []).append(attempt.payment["id"])
    repeated = [payments for payments in told.values() if len(payments) > 1]

    assert repeated
    assert all(len(set(payments)) == 1 for payments in repeated)


def test_without_the_lock_the_checker_finds_credit_spent_twice(without_lock: Race) -> None:
    report, _ = without_lock

    assert {"I14", "I18", "I24"} & {violation.invariant for violation in report.violations} >= {"I14", "I18"}
    assert report.paid > 2 * 14


@pytest.mark.django_db(transaction=True)
def test_the_command_prints_a_verdict_and_leaves_no_database(tmp_path: Path) -> None:
    out, file = StringIO(), tmp_path / "race.json"

    options = {"clients": 4, "wallets": 1, "credits": 3, "orders": 1, "seed": 7, "json": file}
    call_command("prove_payments", stdout=out, stderr=StringIO(), **options)

    assert "payments from the emptied wallets" in out.getvalue()
    assert "OK: no credit is spent twice" in out.getvalue()
    assert json.loads(file.read_text())["green"] is True
    assert scratch_databases() == []
    assert Payment.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_command_fails_without_the_lock() -> None:
    options = {"clients": 8, "wallets": 1, "credits": 3, "orders": 1, "seed": 7, "without_lock": True}

    with pytest.raises(CommandError, match="FAILED as expected"):
        call_command("prove_payments", stdout=StringIO(), stderr=StringIO(), **options)


@pytest.mark.django_db
def test_guards_are_removed_from_a_scratch_database_only() -> None:
    with pytest.raises(RuntimeError, match="not a scratch database"):
        remove_guards()
