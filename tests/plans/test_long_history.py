"""The pages of a wallet cost what is open and what is shown, however much was claimed and paid before."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoDbBlocker

from accounts.models import User
from tests.plans import conftest
from tests.plans.conftest import plans_of, read_whole, rows_looked_at
from wallet.ledger.models import Entry, Movement, Payment
from wallet.verification.money import PASSED_OVER

pytestmark = [pytest.mark.usefixtures("wallets"), pytest.mark.django_db]
MONEY = (
    *("assets_cashbackasset", "ledger_entry", "ledger_lot", "ledger_movement", "ledger_posting", "ledger_payment"),
    "ledger_allocation",
)
LONG, SHORT = {"claims": 100_000, "payments": 10_000}, {"claims": 60, "payments": 30}
OPEN = 30  # credits of each wallet of which something is left
# One claim a minute, the oldest spent by one payment each; `n` numbers the claims and the payments of the wallet.
FILL = """
CREATE TEMP TABLE wallet_claim ON COMMIT DROP AS SELECT n, uuidv7() AS asset, uuidv7() AS entry,
    now() - make_interval(mins => {claims} - n + 10) AS at FROM generate_series(1, {claims}) AS n;
CREATE TEMP TABLE wallet_payment ON COMMIT DROP AS SELECT n, uuidv7() AS id, entry, at + interval '30 seconds' AS at
    FROM wallet_claim WHERE n <= {payments};
INSERT INTO assets_cashbackasset (id, title, total_value, currency, status, claimed_by_id, claimed_at, generation, created_at)
    SELECT asset, 'Credit ' || n, 100, 'INR', 'CLAIMED', '{user}', at, 1, at FROM wallet_claim;
INSERT INTO ledger_entry (id, kind, asset_id, user_id, amount, currency, claimed_at, actor_id)
    SELECT entry, 'CLAIM', asset, '{user}', 100, 'INR', at, '{user}' FROM wallet_claim;
INSERT INTO ledger_lot (entry_id, user_id, currency, draw_priority, refund_grace_days, clawback_reach, opened_at,
    spendable_from, moved_at, total, available, spent)
    SELECT entry, '{user}', 'INR', 2, 14, 'CREDIT', at, at, at, 100, CASE WHEN n > {claims} - {open} THEN 100 ELSE 0 END,
        CASE WHEN n > {claims} - {open} THEN 0 ELSE 100 END FROM wallet_claim;
INSERT INTO ledger_movement (id, kind, user_id, currency, number, amount, at, payment_id, service_id, reference, channel)
    SELECT id, 'SPEND', '{user}', 'INR', n, 100, at, id, '{service}', 'order ' || n, 'api' FROM wallet_payment;
INSERT INTO ledger_posting (movement_id, position, lot_id, amount) SELECT id, 1, entry, 100 FROM wallet_payment;
INSERT INTO ledger_payment (id, user_id, currency, service_id, reference, amount, held, captured, released, refunded, began_at)
    SELECT id, '{user}', 'INR', '{service}', 'order ' || n, 100, 0, 100, 0, 0, at FROM wallet_payment;
INSERT INTO ledger_allocation (payment_id, lot_id, position, amount, held, captured, released, refunded)
    SELECT id, entry, 1, 100, 0, 100, 0, 0 FROM wallet_payment;
INSERT INTO ledger_lastingchange (user_id, currency, amount) VALUES ('{user}', 'INR', -100 * ({claims} - {open}));
INSERT INTO ledger_sealedbalance (user_id, currency, amount, claims, lasting)
    VALUES ('{user}', 'INR', 100 * {claims}, {claims}, 100 * {claims});
"""
# Everything until now is sealed, as after a second of the scheduler. Nothing here reads what the seal says.
SEALED = """
INSERT INTO ledger_seal
    (seq, previous_root, root, from_xid, to_xid, count, sums, sealed_at, public_key, signature, leaves, version)
    SELECT 1, sha256(''), sha256('1'), '0', pg_snapshot_xmin(pg_current_snapshot()), 1, '{{"INR": "1"}}', now(), sha256('2'),
        sha256('3') || sha256('4'), substring(sha256('5') || sha256('6') FOR 48), 1
"""
PAGES = (
    "/dashboard/",
    "/claims/",
    "/claims/?page=2",
    "/claims/?show=payments",
    "/credits/",
    "/shop/",
    "/shop/?mug=1&credit=50",
)


@pytest.fixture(scope="module")
def wallets(large: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Give one user a long history and another a short one, with as much left."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO accounts_service (id, name, is_active) VALUES (uuidv7(), 'Demo shop', true) RETURNING id")
        (service,) = cursor.fetchone()
        for name, sizes in (("long", LONG), ("short", SHORT)):
            user = User.objects.create_user(f"{name}@example.com", "!")
            triggers = [f"ALTER TABLE {table} {{}} TRIGGER USER" for table in MONEY]
            cursor.execute(
                ";".join(
                    [
                        "BEGIN; SET LOCAL session_replication_role = replica",
                        *(trigger.format("DISABLE") for trigger in triggers),
                        FILL.format(user=user.pk, service=service, open=OPEN, **sizes),
                        "SELECT public.harden_triggers(); COMMIT",
                    ]
                )
            )
        cursor.execute(SEALED.format())
        cursor.execute("VACUUM (ANALYZE)")


@pytest.fixture(autouse=True)
def _tables_of_money(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "LARGE", {*conftest.LARGE, *MONEY})


@pytest.fixture
def browser_of() -> Callable[[str], Client]:
    def sign_in(name: str) -> Client:
        browser = Client()
        browser.force_login(User.objects.get(email=f"{name}@example.com"))
        return browser

    return sign_in


def visiting(browser: Client, page: str) -> Callable[[], None]:
    def visit() -> None:
        assert browser.get(page).status_code == 200

    return visit


def test_both_wallets_have_their_histories() -> None:
    sizes = {
        name: [model.objects.filter(user__email=f"{name}@example.com").count() for model in (Entry, Payment, Movement)]
        for name in ("long", "short")
    }

    assert sizes == {"long": [100_000, 10_000, 10_000], "short": [60, 30, 30]}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_a_long_history_reads_hardly_more_than_that_of_a_short_one(
    browser_of: Callable[[str], Client], page: str
) -> None:
    long, short = (rows_looked_at(visiting(browser_of(name), page)) for name in ("long", "short"))

    # The chart reads up to 200 claims and 200 movements; the keys of a page of history are read from both tables.
    assert long <= short + 400, (long, short)


@pytest.mark.parametrize("page", [*PAGES, "payment"])
def test_no_page_of_a_wallet_reads_a_table_whole(browser_of: Callable[[str], Client], page: str) -> None:
    path = f"/payments/{Payment.objects.filter(user__email='long@example.com')[0].pk}/" if page == "payment" else page
    asked: list[tuple[str, dict[str, Any]]] = plans_of(visiting(browser_of("long"), path))

    assert asked
    assert [(read_whole(tree), sql) for sql, tree in asked if read_whole(tree)] == []


def test_the_checker_compares_no_payment_with_credits_that_were_spent_before() -> None:
    def compared(node: dict[str, Any]) -> float:
        each = node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"]
        return float(each) + sum(map(compared, node.get("Plans", ())))

    def check() -> None:
        with connection.cursor() as cursor:
            cursor.execute(PASSED_OVER)

    ((_, tree),) = plans_of(check, "ANALYZE")

    assert compared(tree) == 0
