"""A session that began while the tables were small finds rows by their keys when they have grown, before any ANALYZE."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from accounts.models import User
from accounts.services import Service
from tests.money.conftest import shop  # noqa: F401  (a fixture)
from wallet.actions.capture_payment import capture_payment
from wallet.actions.claim_batch import BY_ASSET, FROM_POOL, run_claim_batch
from wallet.actions.claim_decisions import ClaimRequest
from wallet.actions.grant_batch import GrantOrder, grant_lines
from wallet.actions.grant_lines import GrantLine
from wallet.actions.issue_assets import issue_many
from wallet.actions.pay import PaymentRequest, pay_batch
from wallet.actions.payment_answers import Answer
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.idempotency import IdempotentRequest, fingerprint
from wallet.ledger.models import Entry, Movement

pytestmark = pytest.mark.django_db(transaction=True)
FEW, MANY, BATCHES = 5, 100, 50
READ_WHOLE = """
SELECT relname, seq_tup_read FROM pg_stat_user_tables
WHERE relname IN ('assets_cashbackasset', 'ledger_entry', 'ledger_lot', 'ledger_movement', 'ledger_payment',
    'ledger_allocation')
"""


def rows_read_in_order() -> dict[str, int]:
    """Return how many rows were read by scans of whole tables so far."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(READ_WHOLE)
        return dict(cursor.fetchall())


def rows_read_by(act: Callable[[], None]) -> dict[str, int]:
    """Return how many rows `act` reads by scans of whole tables."""
    before = rows_read_in_order()
    act()
    return {name: rows - before[name] for name, rows in rows_read_in_order().items() if rows > before[name]}


@pytest.fixture
def users(make_users: Callable[[int], list[User]]) -> list[User]:
    return make_users(MANY)


@pytest.fixture
def pool(open_pool: Callable[..., CreditPool]) -> CreditPool:
    pool = open_pool(per_user_limit=None)
    issue(pool, 11 * MANY)
    return pool


def issue(pool: CreditPool, count: int) -> None:
    issue_many(None, pool, count=count, title="Credit", total_value=Decimal(100))


def check_growth(act: Callable[[int], None], grow: Callable[[], None]) -> None:
    """Act for many users while the tables are small, grow them, and act for a few users."""
    for _ in range(6):  # from the sixth on PostgreSQL may keep the plan of a prepared statement
        act(MANY)
    grow()
    assert rows_read_by(lambda: act(FEW)) == {}


def test_claims(pool: CreditPool, users: list[User]) -> None:
    def claim(count: int) -> None:
        free = CashbackAsset.objects.filter(pool=pool, status="AVAILABLE").order_by("id").values_list("pk", flat=True)[:count]
        claims = run_claim_batch(BY_ASSET, [ClaimRequest(pk, user, None) for pk, user in zip(free, users, strict=False)])
        assert len(claims) == count

    check_growth(claim, lambda: issue(pool, MANY * BATCHES))


def test_claims_from_a_pool(pool: CreditPool, users: list[User]) -> None:
    def claim(count: int) -> None:
        asked = [(user, IdempotentRequest(user, "claim", uuid4().hex, fingerprint("x"))) for user in users[:count]]
        run_claim_batch(FROM_POOL, [ClaimRequest(pool.pk, user, request) for user, request in asked])

    check_growth(claim, lambda: issue(pool, MANY * BATCHES))
    assert Entry.objects.count() == 6 * MANY + FEW


def test_grants(pool: CreditPool, users: list[User]) -> None:
    def grant(count: int) -> None:
        lines = [GrantLine(user.email, uuid4().hex) for user in users[:count]]
        assert {result.outcome.value for result in grant_lines(GrantOrder(pool.pk, "gift"), lines)} == {"granted"}

    def grow() -> None:
        issue(pool, MANY * BATCHES)
        for _ in range(BATCHES - 1):
            grant(MANY)

    check_growth(grant, grow)


@pytest.mark.parametrize("capture", [True, False])
def test_payments_and_captures(pool: CreditPool, users: list[User], shop: Service, capture: bool) -> None:  # noqa: F811
    def grant() -> None:
        grant_lines(GrantOrder(pool.pk, "gift"), [GrantLine(user.email, uuid4().hex) for user in users])

    def pay(count: int) -> None:
        unsaid = dict.fromkeys(("hold_seconds", "order_total", "actor_id", "request_key"))
        known: Any = {"service_id": shop.pk, "currency": "INR", "amount": Decimal(101), "capture": capture, "up_to": False}
        known |= unsaid | ({} if capture else {"hold_seconds": 1800})
        answers = pay_batch([PaymentRequest(user_id=user.pk, reference=uuid4().hex, **known) for user in users[:count]])
        for answer in answers[:FEW] if not capture else []:
            assert isinstance(answer, Answer)
            capture_payment(UUID(answer.body["id"]), service=shop)

    def grow() -> None:
        issue(pool, MANY * BATCHES)
        for _ in range(BATCHES - 1):
            grant()
            pay(MANY)

    for _ in range(10):
        grant()
    check_growth(pay, grow)
    assert Movement.objects.filter(kind__in=["SPEND", "HOLD"]).count() == (BATCHES + 5) * MANY + FEW
