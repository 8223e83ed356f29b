"""Finance's reports: as of a time, unchanged afterwards, and tying out with each other."""

import csv
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, connections, transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import Service
from kernel.slots import ReadsBusy
from tests.money.conftest import as_owner, end_credit, end_hold
from wallet.actions.capture_payment import capture_payment
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.end_holds import end_due_holds
from wallet.actions.extend_lot import extend_lot
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.actions.payment_answers import Answer
from wallet.actions.refund_payment import refund_payment
from wallet.actions.seal_ledger import seal_next
from wallet.assets.models import CreditPool
from wallet.ledger.models import Lot, LotBackfill, Seal
from wallet.queries import as_of as times
from wallet.queries import journal, money_reports
from wallet.queries.as_of import AsOf, settled
from wallet.queries.tie_outs import tie_outs

pytestmark = pytest.mark.django_db(transaction=True)
Credit = Callable[..., Lot]
Spend = Callable[..., Answer]
Hold = Callable[..., UUID]
OpenPool = Callable[..., CreditPool]


def all_reports(at: AsOf) -> dict[str, Any]:
    """Return every report, and the journal's lines, of a time."""
    lines, _ = journal.journal_page(at, journal.START, 1_000)
    return {name: report(at) for name, report in money_reports.REPORTS.items()} | {"journal": lines}


def balances(at: AsOf) -> dict[str, Decimal]:
    """Return the balance of each account in INR."""
    lines = [line for line in money_reports.trial_balance(at) if line["currency"] == "INR"]
    return {line["account"]: Decimal(line["credit"]) - Decimal(line["debit"]) for line in lines}


def disagreeing(at: AsOf) -> list[str]:
    return [str(each.title) for each in tie_outs(at) if not each.agrees]


def clock() -> datetime:
    return settled().at


@pytest.fixture
def history(*, credit: Credit, spend: Spend, hold: Hold, open_pool: OpenPool, shop: Service, ada: User) -> list[datetime]:
    """Everything that can happen to credits; the times between."""
    between = []
    ending = open_pool(name="Ending", valid_for="6 days")
    first, second = credit("100", pool=ending), credit("50")
    credit("20", pool=open_pool(name="Pending", pending_for="7 days")), credit("500", currency="JPY")
    between.append(clock())
    paid = UUID(spend("30").body["id"])
    held = hold("90")
    between.append(clock())
    capture_payment(held, shop, amount=Decimal(40), final=False)
    extend_lot(first.pk, until=timezone.now() + timedelta(days=20), reason="sorry", actor=ada)
    between.append(clock())
    refund_payment(paid, amount=Decimal(10), reference="r-1", reason="returned", service=shop)
    clawback_credit(second.pk, reason="fraud", amount=Decimal(15), actor=ada)
    between.append(clock())
    capture_payment(held, shop)
    between.append(clock())
    return between


def test_the_reports_count_every_account(history: list[datetime]) -> None:
    at = settled()

    assert balances(at) == {"pool": -155, "wallet": 45, "hold": 0, "merchant": 110, "breakage": 0}
    assert [tuple(line.values()) for line in money_reports.liability(at)] == [
        ("INR", "30_days", "10.00", "0.00", "0.00", "10.00", 1),
        ("INR", "never", "15.00", "20.00", "0.00", "35.00", 2),
        ("JPY", "never", "500", "0", "0", "500", 1),
    ]
    (line,) = money_reports.settlement(at)
    assert (line["service_name"], line["captured"], line["refunded"], line["net"], line["payments"]) == (
        *("Shop", "120.00", "10.00", "110.00"),
        2,
    )


def test_the_reports_tie_out_at_every_time(history: list[datetime]) -> None:
    for at in history:
        assert disagreeing(settled(at)) == []
    assert disagreeing(settled()) == []


def test_an_answer_never_changes_afterwards(history: list[datetime], spend: Spend, credit: Credit) -> None:
    before = [all_reports(settled(at)) for at in history]

    spend("5"), credit("9")

    assert [all_reports(settled(at)) for at in history] == before


def test_what_the_clock_decided_counts_before_and_after_the_sweeps(credit: Credit, hold: Hold, spend: Spend) -> None:
    lot, other = credit("100"), credit("50")
    spend("20")
    payment = hold("100")
    end_hold(payment, timedelta(seconds=2))
    end_credit(lot)
    at = settled()
    before = all_reports(at)

    assert balances(at) == {"pool": -150, "wallet": 50, "hold": 0, "merchant": 20, "breakage": 80}
    assert [(line["ends"], line["total"]) for line in money_reports.liability(at)] == [("never", "50.00")]
    assert [line["amount"] for line in money_reports.breakage(at)] == ["80.00"]
    assert disagreeing(at) == []

    end_due_holds(), lapse_ended_credits()

    assert other.pk
    assert all_reports(settled(at.at)) == before
    assert disagreeing(settled(at.at)) == disagreeing(settled()) == []


def test_a_sealed_past_is_added_up_from_the_seal(history: list[datetime]) -> None:
    now = settled()
    before = all_reports(now), balances(now)
    assert seal_next() is not None
    as_owner("UPDATE ledger_seal SET sealed_at = sealed_at - interval '10 minutes'")

    at = settled()

    assert at.xid == str(Seal.objects.get().to_xid)
    assert all_reports(at)["trial-balance"] == before[0]["trial-balance"]
    assert disagreeing(at) == []
    as_owner(
        "UPDATE ledger_posting SET amount = amount - 1 WHERE movement_id = (SELECT max(movement_id::text)::uuid"
        " FROM ledger_posting JOIN ledger_movement ON id = movement_id WHERE kind = 'CAPTURE')"
    )
    assert balances(at) == before[1]
    assert "Merchants, and the journal" in disagreeing(at)


def test_a_tampered_credit_does_not_tie_out(history: list[datetime]) -> None:
    as_owner("UPDATE ledger_lot SET available = available + 1, total = total + 1 WHERE currency = 'JPY'")

    (difference,) = [each for each in tie_outs(settled()) if not each.agrees]

    assert (difference.currency, difference.left, difference.right) == ("JPY", 500, 501)


def test_a_tampered_movement_does_not_tie_out(history: list[datetime]) -> None:
    as_owner("UPDATE ledger_movement SET amount = amount + 1 WHERE kind = 'SPEND'")

    assert disagreeing(settled()) == ["Merchant account, and the settlement"]


def test_a_time_to_come_is_refused(db: None) -> None:
    with pytest.raises(ValidationError, match="in the past"):
        settled(timezone.now() + timedelta(minutes=1))


def test_a_report_waits_for_what_is_being_written(credit: Credit, spend: Spend) -> None:
    credit("100")
    written, done = threading.Event(), []

    def write_slowly() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
                spend_in(cursor)
                written.set()
                time.sleep(0.5)
                done.append(True)
        finally:
            connections.close_all()

    def spend_in(cursor: Any) -> None:
        cursor.execute(
            "INSERT INTO ledger_movement (id, kind, user_id, currency, amount, payment_id, service_id, reference, channel)"
            " SELECT id, 'SPEND', user_id, 'INR', 10, id, (SELECT id FROM accounts_service LIMIT 1), 'slow', 'api'"
            " FROM ledger_lot, gen_random_uuid() AS id LIMIT 1 RETURNING id"
        )
        movement = cursor.fetchone()[0]
        cursor.execute(
            "INSERT INTO ledger_posting (movement_id, position, lot_id, amount) SELECT %s, 1, entry_id, 10 FROM ledger_lot",
            [movement],
        )

    assert spend("1").status_code == 201
    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert written.wait(10)

    at = settled()

    assert done, "the report did not wait"
    assert balances(at)["merchant"] == 11
    writer.join()


def test_a_report_gives_up_on_a_transaction_that_does_not_end(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setattr(times, "WAIT_SECONDS", 0.1)
    begun, finish = threading.Event(), threading.Event()

    def write_for_ever() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
                begun.set()
                finish.wait(10)
        finally:
            connections.close_all()

    writer = threading.Thread(target=write_for_ever)
    writer.start()
    assert begun.wait(10)
    try:
        with pytest.raises(ReadsBusy):
            settled()
        assert settled(timezone.now() - timedelta(minutes=2))
    finally:
        finish.set()
        writer.join()


def test_reports_wait_until_earlier_claims_have_their_lots(db: None) -> None:
    LotBackfill.objects.create(id=1)

    with pytest.raises(ReadsBusy):
        settled()


def test_the_journal_is_paged_without_gaps_and_its_file_has_every_line(history: list[datetime]) -> None:
    at, paged = settled(), []
    place: journal.Place | None = journal.START
    while place is not None:
        lines, place = journal.journal_page(at, place, 3)
        paged += lines

    whole, _ = journal.journal_page(at, journal.START, 1_000)
    assert paged == whole
    assert journal.latest_lines(at, 1_000) == whole[::-1]
    rows = [*csv.reader(StringIO(b"".join(journal.journal_csv(at)).decode()))]
    assert tuple(rows[0]) == journal.JOURNAL_COLUMNS
    assert rows[1:] == [["" if cell is None else str(cell) for cell in line.values()] for line in whole]
    assert {line["kind"] for line in whole} >= {"CLAIM", "HOLD", "SPEND", "CAPTURE", "REFUND", "CLAWBACK", "EXTEND"}


def test_no_cell_of_the_journal_is_a_formula(credit: Credit, spend: Spend) -> None:
    credit("100")
    spend("10", reference="=1+1")

    assert ",'=1+1," in b"".join(journal.journal_csv(settled())).decode()
