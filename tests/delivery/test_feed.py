"""The stream of events: everything once, in order, and to each service only what concerns it."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection, connections
from pytest_django import Settings

from accounts.models import User
from accounts.services import Service
from kernel.timestamps import format_timestamp
from tests.actions.test_scheduled import let_a_day_pass
from tests.api.conftest import ROOT, Caller
from tests.delivery.conftest import all_events, issue_to
from tests.money.conftest import end_credit, soon
from wallet.actions.capture_payment import capture_payment
from wallet.actions.clawback_credit import clawback_credit
from wallet.actions.edit_asset import delete_asset, expire_asset, update_asset
from wallet.actions.extend_lot import extend_lot
from wallet.actions.grant_credit import grant_credit
from wallet.actions.issue_assets import issue_many
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.actions.open_scheduled import open_due_credits
from wallet.actions.pay import pay
from wallet.actions.recreate_asset import recreate_asset
from wallet.actions.refund_payment import refund_payment
from wallet.actions.release_payment import release_payment
from wallet.assets.models import CashbackAsset, CreditPool, Issuance
from wallet.delivery import feed
from wallet.delivery.cursors import START, InvalidCursor, parse_cursor
from wallet.delivery.feed import read_events
from wallet.delivery.models import Tick
from wallet.delivery.ticks import append_tick
from wallet.ledger.models import Entry, Lot, Movement

pytestmark = pytest.mark.django_db(transaction=True)
FEED = f"{ROOT}/feed/"


@pytest.fixture
def bound_pool(open_pool: Callable[..., CreditPool], shop: Service) -> CreditPool:
    """A pool whose credits can be spent at the shop only."""
    pool = open_pool(name="Shop's own")
    CreditPool.objects.filter(pk=pool.pk).update(service=shop)
    return CreditPool.objects.get(pk=pool.pk)


def live_through_everything(ada: User, alice: User, shop: Service, pool: CreditPool) -> Lot:
    """Let every kind of event happen once or more at the shop; return the lot of the granted credit."""
    issue_to(pool, ada, 3, "Welcome bonus")
    edited, expired, _granted = CashbackAsset.objects.filter(pool=pool).order_by("id")
    update_asset(edited.pk, ada, title="Better bonus", total_value=Decimal("120.00"))
    expire_asset(expired.pk, ada)
    recreated = recreate_asset(expired.pk, ada)
    delete_asset(recreated.pk, ada)
    delete_asset(edited.pk, ada)
    claim = grant_credit(alice, pool.pk, reference="ticket-1", reason="goodwill", service=shop, actor=None).body["id"]
    lot = Lot.objects.get(pk=claim)
    held = pay(alice, shop, currency="INR", amount=Decimal(40), reference="order-1", capture=False).body["id"]
    capture_payment(UUID(held), shop, amount=Decimal(30))
    spent = pay(alice, shop, currency="INR", amount=Decimal(10), reference="order-2", capture=True).body["id"]
    refund_payment(UUID(spent), amount=Decimal(5), reference="refund-2", reason="returned", service=shop)
    released = pay(alice, shop, currency="INR", amount=Decimal(5), reference="order-3", capture=False).body["id"]
    release_payment(UUID(released), service=shop)
    clawback_credit(lot.pk, amount=Decimal(10), reason="fraud", service=shop)
    Lot.objects.get(pk=lot.pk)
    return lot


def test_every_kind_of_event_comes_once_and_in_order(ada: User, alice: User, shop: Service, bound_pool: CreditPool) -> None:
    live_through_everything(ada, alice, shop, bound_pool)

    assert [event.type for event in all_events(shop)] == [
        "credit.issued",
        "credit.edited",
        "credit.expired",
        "credit.recreated",
        "credit.deleted",
        "credit.deleted",
        "credit.claimed",
        "payment.held",
        "payment.captured",
        "payment.released",
        "payment.spent",
        "payment.refunded",
        "payment.held",
        "payment.released",
        "credit.clawed_back",
    ]


def test_extensions_and_lapses_of_what_a_service_granted_are_its_events(
    ada: User, alice: User, shop: Service, open_pool: Callable[..., CreditPool]
) -> None:
    pool = open_pool(valid_until=soon(days=1))
    issue_to(pool, ada, 1, "Bonus")
    claim = UUID(grant_credit(alice, pool.pk, reference="t", reason="goodwill", service=shop, actor=None).body["id"])
    extend_lot(claim, until=soon(days=3), reason="goodwill", actor=ada)
    end_credit(Lot.objects.get(pk=claim))
    lapse_ended_credits()

    events = all_events(shop)

    assert [event.type for event in events] == ["credit.claimed", "credit.extended", "credit.lapsed"]
    assert [event.data["claim"] for event in events[1:]] == [str(claim)] * 2


def test_an_issue_tells_when_its_credits_start_and_their_start_is_no_event(
    ada: User, shop: Service, bound_pool: CreditPool
) -> None:
    issue_many(ada, bound_pool, count=5, title="Drip", total_value=Decimal(10), per_day=2)
    let_a_day_pass(bound_pool)
    assert open_due_credits() == 2
    (dropped,) = CashbackAsset.objects.filter(status="SCHEDULED")
    delete_asset(dropped.pk, ada)

    events = all_events(shop)

    issues = [event for event in events if event.type == "credit.issued"]
    days = sorted({each.claimable_from for each in Issuance.objects.exclude(claimable_from=None) if each.claimable_from})
    assert {(event.data["claimable_from"], event.data["count"]) for event in issues} == {
        *((None, 2), (format_timestamp(days[0]), 2), (format_timestamp(days[1]), 1)),
    }
    assert [(event.type, event.data["status"]) for event in events if event not in issues] == [("credit.deleted", "SCHEDULED")]


def test_a_service_sees_nothing_of_what_does_not_concern_it(  # noqa: PLR0917
    ada: User, alice: User, shop: Service, other_shop: Service, bound_pool: CreditPool, credit: Callable[..., Lot]
) -> None:
    live_through_everything(ada, alice, shop, bound_pool)
    credit()  # of nobody's pool
    pay(alice, other_shop, currency="INR", amount=Decimal(10), reference="theirs", capture=True)

    assert [event.type for event in all_events(other_shop)] == ["payment.spent"]
    assert "theirs" not in str(all_events(shop))
    assert len(all_events()) == len(all_events(shop)) + 3  # issued, claimed and spent


def test_who_acted_and_which_credits_paid_is_for_operators(
    shop: Service, credit: Callable[..., Lot], spend: Callable[..., Any]
) -> None:
    lot = credit()
    spend("60.00")

    (theirs,), ours = all_events(shop), all_events()[-1]

    assert ours.data["postings"] == [{"claim": str(lot.pk), "amount": "60.00", "spendable_until": None}]
    assert ours.data.keys() - theirs.data.keys() == {"postings", "actor", "channel"}
    assert theirs.data["amount"] == "60.00"


def test_a_grant_is_named_only_to_the_service_that_made_it(
    ada: User, alice: User, shop: Service, other_shop: Service, bound_pool: CreditPool
) -> None:
    issue_to(bound_pool, ada, 1, "Bonus")
    grant_credit(alice, bound_pool.pk, reference="ticket-7", reason="goodwill", service=other_shop, actor=None)

    granted, bound = all_events(other_shop)[-1], all_events(shop)[-1]

    assert granted.data["granted_by"] == str(other_shop.pk)
    assert granted.data["grant_reference"] == "ticket-7"
    assert (bound.id, bound.data["granted_by"], bound.data["grant_reference"]) == (granted.id, None, None)


def test_small_pages_have_the_same_events_as_large_ones(
    ada: User, alice: User, shop: Service, bound_pool: CreditPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_through_everything(ada, alice, shop, bound_pool)
    once = [(event.id, event.type, event.data) for event in all_events(shop)]

    assert [(event.id, event.type, event.data) for event in all_events(shop, limit=1)] == once
    assert [(event.id, event.type, event.data) for event in all_events(shop, limit=4)] == once
    monkeypatch.setattr(feed, "MAX_PART", 2)
    parts = [event.id for event in all_events(shop, limit=1)]
    assert len(parts) == len(set(parts))
    assert set(parts) == {event_id for event_id, *_ in once}


def test_history_from_before_the_column_comes_first(ada: User, shop: Service, bound_pool: CreditPool) -> None:
    issue_to(bound_pool, ada, 1, "New")
    issue_to(bound_pool, ada, 1, "Old")
    old = Issuance.objects.order_by("-id").first()
    assert old is not None
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE assets_issuance DISABLE TRIGGER USER")
        cursor.execute("UPDATE assets_issuance SET xid = '1', issued_at = issued_at - interval '1 day' WHERE id = %s", [old.pk])
        cursor.execute("SELECT public.harden_triggers()")

    assert [event.id for event in all_events(shop)] == [f"issue_{old.pk}", f"issue_{old.pk - 1}"]


def test_a_late_commit_is_neither_missed_nor_doubled(
    credit: Callable[..., Lot], elsewhere: psycopg.Connection[Any], issue: Callable[..., CashbackAsset], ada: User
) -> None:
    late = issue(title="Late")
    elsewhere.execute("SELECT pg_current_xact_id()")
    elsewhere.execute("UPDATE assets_cashbackasset SET title = 'Changed late' WHERE id = %s", [late.pk])
    credit()
    first = all_events()
    append_tick()
    after = read_events(START, service=None).after

    elsewhere.commit()

    assert [event.type for event in first] == ["credit.issued", "credit.issued", "credit.claimed"]
    assert [event.type for event in all_events(after=after)] == ["credit.edited"]
    assert len({event.id for event in all_events()}) == 4


def test_a_long_transaction_delays_no_other_event(credit: Callable[..., Lot], elsewhere: psycopg.Connection[Any]) -> None:
    elsewhere.execute("SELECT pg_current_xact_id()")

    credit()

    assert "credit.claimed" in [event.type for event in all_events()]


def test_movements_of_a_wallet_keep_their_order_when_transactions_began_in_the_reverse(
    alice: User, shop: Service, credit: Callable[..., Lot], spend: Callable[..., Any], elsewhere: psycopg.Connection[Any]
) -> None:
    """The transaction of `elsewhere` gets its id first, and the wallet's lock last."""
    lot = credit()
    elsewhere.execute("SELECT pg_current_xact_id()")
    append_tick()
    spend("10.00")
    append_tick()
    insert = (
        "INSERT INTO ledger_movement (id, kind, user_id, currency, number, amount, at, payment_id, service_id, reference,"
        " channel) SELECT id, 'SPEND', %(user)s, 'INR', 0, 5, now(), id, %(service)s, 'late', 'sql'"
        " FROM (SELECT %(id)s::uuid AS id) AS new"
    )
    movement = UUID("01990000-0000-7000-8000-000000000001")
    elsewhere.execute(insert, {"user": alice.pk, "service": shop.pk, "id": movement})
    elsewhere.execute(
        "INSERT INTO ledger_posting (movement_id, position, lot_id, amount) VALUES (%s, 1, %s, 5)", [movement, lot.pk]
    )
    elsewhere.commit()

    first, second = Movement.objects.order_by("number")
    assert first.xid > second.xid
    assert [event.data["number"] for event in all_events(shop)] == [1, 2]
    assert [event.data["number"] for event in all_events(shop, limit=1)] == [1, 2]


def test_readers_beside_writers_get_every_event_once_and_each_wallet_in_order(
    make_users: Callable[[int], list[User]], shop: Service, credit: Callable[..., Lot]
) -> None:
    """Six threads pay from three wallets, some with pauses, while a reader follows with small pages."""
    users = make_users(3)
    for user in users:
        credit("100000", user=user)
    done = threading.Event()

    def write(number: int) -> None:
        try:
            for turn in range(25):
                reference = f"order-{number}-{turn}"
                user = users[random.randrange(3)]
                paid = pay(user, shop, currency="INR", amount=Decimal(1), reference=reference, capture=turn % 2 == 0)
                if turn % 2:
                    release_payment(UUID(paid.body["id"]), service=shop)
        finally:
            connections.close_all()

    def follow() -> list[dict[str, Any]]:
        found, after, finished = [], START, False
        while not finished:
            finished = done.is_set()
            append_tick()
            page = read_events(after, service=shop.pk, limit=7)
            found += [event.data for event in page.events]
            after, finished = page.after, finished and not page.has_more
        connections.close_all()
        return found

    with ThreadPoolExecutor(7) as pool:
        reading = pool.submit(follow)
        list(pool.map(write, range(6)))
        done.set()
        found = reading.result()

    ids = [data["id"] for data in found]
    assert len(ids) == len(set(ids)) == Movement.objects.count()
    for user in users:
        numbers = [data["number"] for data in found if data["user"] == str(user.pk)]
        assert numbers == sorted(numbers)


def test_ticks_are_added_only_for_new_events(credit: Callable[..., Lot]) -> None:
    assert append_tick() is None
    credit()

    assert (append_tick(), append_tick()) == (1, None)
    assert Tick.objects.get().total == 2


@pytest.mark.parametrize(
    "cursor", ["", "x", "1.", "-1", "1.2", "1.2.3.4.1.x", "1.2.3.4.3.12", "1.2.3.4.9.1", "٣", "1" * 40, "7", "0.0.1", "0.5.0"]
)
def test_a_position_that_the_feed_did_not_return_is_refused(cursor: str, credit: Callable[..., Lot]) -> None:
    credit()
    append_tick()

    with pytest.raises(InvalidCursor):
        read_events(parse_cursor(cursor), service=None)


def test_feed_pages_over_the_api(as_shop: Caller, credit: Callable[..., Lot], spend: Callable[..., Any]) -> None:
    credit()
    spend("60.00")
    spend("10.00")
    append_tick()

    first = as_shop.get(FEED, {"page_size": 1})
    second = as_shop.get(FEED, {"after": first.json()["cursor"]})
    end = as_shop.get(FEED, {"after": second.json()["cursor"]})

    assert [event["data"]["amount"] for event in first.json()["results"] + second.json()["results"]] == ["60.00", "10.00"]
    assert [answer.json()["has_more"] for answer in (first, second, end)] == [True, False, False]
    assert end.json() == {"cursor": second.json()["cursor"], "has_more": False, "results": []}
    assert set(first.json()["results"][0]) == {"id", "type", "timestamp", "data"}


def test_feed_filters_by_type_and_starts_from_now(
    as_ada: Caller, credit: Callable[..., Lot], spend: Callable[..., Any]
) -> None:
    credit()
    append_tick()
    now = as_ada.get(FEED, {"after": "latest"}).json()
    spend("60.00")
    append_tick()

    claims = as_ada.get(FEED, {"types": "credit.claimed,payment.held"}).json()
    later = as_ada.get(FEED, {"after": now["cursor"]}).json()

    assert now["results"] == []
    assert [event["type"] for event in claims["results"]] == ["credit.claimed"]
    assert [event["type"] for event in later["results"]] == ["payment.spent"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"types": "credit.stolen"}, "types"),
        ({"page_size": "101"}, "page_size"),
        ({"page_size": "0"}, "page_size"),
        ({"before": "1"}, "before"),
    ],
)
def test_feed_refuses_wrong_parameters(as_ada: Caller, query: dict[str, str], field: str) -> None:
    answer = as_ada.get(FEED, query)

    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])


def test_feed_refuses_a_wrong_cursor_with_its_code(as_ada: Caller) -> None:
    answer = as_ada.get(FEED, {"after": "nonsense"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")
    assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [("after", "invalid_cursor")]


def test_feed_needs_the_scope(new_key: Callable[..., Any], as_alice: Caller) -> None:
    from tests.payments.conftest import with_key

    refused = with_key(new_key("payments:read").text).get(FEED)

    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert as_alice.get(FEED).status_code == 403


def test_a_page_costs_the_same_number_of_queries_however_many_events_it_has(
    as_shop: Caller, credit: Callable[..., Lot], spend: Callable[..., Any], django_assert_num_queries: Any
) -> None:
    credit("1000")
    for _ in range(5):
        spend("1.00")
    append_tick()
    as_shop.get(FEED)

    # The service; the ticks, keys, movements and postings; at the end of a part, whether there is a tick after it.
    with django_assert_num_queries(5):
        as_shop.get(FEED, {"page_size": 1})
    with django_assert_num_queries(5):
        as_shop.get(FEED, {"page_size": 4})
    with django_assert_num_queries(6):
        as_shop.get(FEED)


def test_claims_write_nothing_for_the_feed(credit: Callable[..., Lot]) -> None:
    credit()

    assert (Entry.objects.count(), Tick.objects.count()) == (1, 0)


def test_pages_are_limited_per_service_and_are_no_searches(as_shop: Caller, settings: Settings) -> None:
    settings.RATES = settings.RATES | {"search": "1/d", "service_feed": "3/d"}

    answers = [as_shop.get(f"{ROOT}/feed/?after=0&types=payment.held") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
