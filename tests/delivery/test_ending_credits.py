"""Credit that ends soon is an event for the services that see the credit, whatever emails its owner wants."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from accounts.services import Service
from dev.chaos.webhook_receiver import Receiver
from tests.concurrency import at_once
from tests.delivery.conftest import all_events, deliver, issue_to, verify
from tests.delivery.test_feed import bound_pool  # noqa: F401  (a fixture)
from tests.notices.conftest import end_at
from wallet.actions import deliver_webhooks as delivery
from wallet.actions.edit_webhook import NewSecret
from wallet.actions.grant_credit import grant_credit
from wallet.actions.notice_preferences import change_notice_preferences
from wallet.actions.record_notices import record_notices
from wallet.actions.refund_payment import refund_payment
from wallet.assets.models import CreditPool
from wallet.delivery.cursors import START
from wallet.delivery.feed import read_events
from wallet.delivery.models import Tick
from wallet.delivery.ticks import append_tick
from wallet.ledger.models import Lot
from wallet.notices.ending_credits import MAX_LISTED
from wallet.notices.models import Notice, NoticeCursor, NoticeKind

pytestmark = pytest.mark.django_db(transaction=True)
Give = Callable[..., Lot]
TYPE = "credit.ends_soon"


@pytest.fixture
def give(ada: User, alice: User, bound_pool: CreditPool) -> Give:  # noqa: F811
    """Grant a credit of the shop's own pool, which ends at the end of the day that many days from the latest digest."""
    record_notices()  # the first look

    def make(days: int = 1, user: User | None = None, pool: CreditPool = bound_pool, **fields: Any) -> Lot:
        issue_to(pool, ada, 1, fields.pop("title", "Bonus"))
        reference = f"ticket-{Lot.objects.count()}"
        by = fields or {"actor": ada}
        receipt = grant_credit(user or alice, pool.pk, reference=reference, reason="goodwill", **by).body
        lot = Lot.objects.get(pk=receipt["id"])
        end_at(lot, midnight_in(days + 1))
        return lot

    return make


def midnight_in(days: int) -> datetime:
    """Return the beginning of the day in UTC that many days from the day of the latest digest."""
    return datetime.combine((timezone.now() - timedelta(hours=8)).date(), time.min, UTC) + timedelta(days=days)


def run_morning() -> int:
    """Let the digests have been looked for the last time a day ago, and write those that are due."""
    NoticeCursor.objects.filter(source="mornings").update(at=Now() - timedelta(days=1))
    return record_notices()


def told(service: Service | None = None, **options: Any) -> list[dict[str, Any]]:
    """Return the contents of the events about credit that ends soon."""
    return [event.data for event in all_events(service, **options) if event.type == TYPE]


def test_one_event_a_person_and_day_lists_each_credit_that_ends_in_a_day_or_in_a_week(
    give: Give, shop: Service, alice: User
) -> None:
    lots = [give(1, title="Tomorrow"), give(7, title="In a week")]
    give(3)

    run_morning()

    (event,) = [event for event in all_events(shop) if event.type == TYPE]
    notice = Notice.objects.get(kind=NoticeKind.ENDING_SOON)
    assert (event.id, event.at) == (f"notice_{notice.pk}", notice.created_at)
    assert event.data == {
        "id": str(notice.pk),
        "user": str(alice.pk),
        "day": midnight_in(0).date().isoformat(),
        "credits": [
            {
                "claim": str(lot.pk),
                "title": title,
                "amount": "100.00",
                "currency": "INR",
                "spendable_until": f"{midnight_in(days).date()}T00:00:00Z",
            }
            for lot, title, days in zip(lots, ("Tomorrow", "In a week"), (2, 8), strict=True)
        ],
    }


def test_it_is_an_event_whatever_emails_the_person_wants(give: Give, shop: Service, alice: User, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    change_notice_preferences(alice, dict.fromkeys(NoticeKind, False))
    assert alice.email_verified_at is None
    give()

    run_morning()

    assert len(told(shop)) == 1


def test_a_service_sees_only_the_credits_that_concern_it(
    give: Give, shop: Service, other_shop: Service, open_pool: Callable[..., CreditPool]
) -> None:
    anywhere = open_pool(name="Anywhere")
    bound, granted, neither = give(title="Bound"), give(pool=anywhere, title="Granted"), give(pool=anywhere, title="Neither")
    granted_by_other = give(pool=anywhere, title="Other's", service=other_shop)

    run_morning()

    claims = {
        reader: [credit["claim"] for data in told(reader) for credit in data["credits"]] for reader in (shop, other_shop, None)
    }
    assert claims[shop] == [str(bound.pk)]
    assert claims[other_shop] == [str(granted_by_other.pk)]
    assert sorted(claims[None]) == sorted(str(lot.pk) for lot in (bound, granted, neither, granted_by_other))


def test_a_service_whose_credits_do_not_end_is_told_nothing(give: Give, other_shop: Service) -> None:
    give()
    run_morning()

    assert told(other_shop) == []


def test_all_credits_are_listed_however_many_an_email_shows(give: Give, shop: Service) -> None:
    lots = [give() for _ in range(MAX_LISTED + 2)]
    run_morning()

    (data,) = told(shop)
    assert {credit["claim"] for credit in data["credits"]} == {str(lot.pk) for lot in lots}


def test_a_digest_without_credits_stops_no_reader(shop: Service, alice: User) -> None:
    Notice.objects.create(user=alice, kind=NoticeKind.ENDING_SOON, key="2000-01-01", payload={"day": "2000-01-01"})

    assert [event.data["credits"] for event in all_events(None)] == [[]]
    assert all_events(shop) == []


def test_grants_and_refunds_are_events_of_the_ledger_and_not_told_twice(
    give: Give, shop: Service, spend: Callable[..., Any]
) -> None:
    lot = give()
    payment = spend("80")
    refund_payment(payment.body["id"], reference="return-1", reason="returned", service=shop)
    append_tick()
    ticks = Tick.objects.count()

    assert run_morning() == 3  # the grant, the refund and the digest
    assert set(Notice.objects.values_list("kind", flat=True)) == set(NoticeKind)

    assert append_tick() == ticks + 1
    assert Tick.objects.latest("id").total - Tick.objects.get(pk=ticks).total == 1
    events = all_events(shop)
    assert [event.type for event in events] == ["credit.issued", "credit.claimed", "payment.spent", "payment.refunded", TYPE]
    assert [event.data["is_grant"] for event in events if event.type == "credit.claimed"] == [True]
    assert events[-1].data["credits"][0]["claim"] == str(lot.pk)


def test_a_claim_of_ones_own_is_no_grant(credit: Callable[..., Lot]) -> None:
    credit()

    assert [event.data["is_grant"] for event in all_events() if event.type == "credit.claimed"] == [False]


def test_small_pages_and_chosen_types_have_each_event_once(
    give: Give, shop: Service, make_users: Callable[[int], list[User]]
) -> None:
    for user in make_users(7):
        give(user=user)
    run_morning()

    ids = [data["id"] for data in told(shop, limit=1)]

    assert len(ids) == len(set(ids)) == 7
    assert [data["id"] for data in told(shop)] == ids
    chosen = read_events(START, service=shop.pk, types=[TYPE], limit=100)
    assert [event.data["id"] for event in chosen.events] == ids


def test_a_digest_that_commits_late_is_neither_missed_nor_doubled(
    give: Give, shop: Service, elsewhere: psycopg.Connection[Any], alice: User, bob: User
) -> None:
    lot = give()
    give(user=bob)
    elsewhere.execute(
        "INSERT INTO notices_notice (id, user_id, kind, key, payload, state, skip_reason, attempts) SELECT"
        " gen_random_uuid(), %s, 'ending_soon', %s, jsonb_build_object('day', '2026-01-01', 'credits', jsonb_build_array("
        "jsonb_build_object('claim', %s::text))), 'WAITING', '', 0",
        [alice.pk, "2026-01-01", str(lot.pk)],
    )
    run_morning_of(bob)
    assert [data["user"] for data in told(shop)] == [str(bob.pk)]
    after = read_events(START, service=shop.pk).after

    elsewhere.commit()

    assert [data["user"] for data in told(shop, after=after)] == [str(alice.pk)]
    assert len({data["id"] for data in told(shop)}) == len(told(shop)) == 2


def run_morning_of(user: User) -> None:
    """Write the digests that are due, of one person."""
    User.objects.exclude(pk=user.pk).update(is_active=False)
    run_morning()
    User.objects.update(is_active=True)


def test_it_follows_the_movements_of_its_wallet_that_it_has_seen(
    give: Give, shop: Service, spend: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    give()
    spend("30")
    run_morning()
    spend("20")

    listed = [event for event in all_events(shop) if event.type in ("payment.spent", TYPE)]

    assert [event.type for event in listed] == ["payment.spent", TYPE, "payment.spent"]
    assert listed[1].data["credits"][0]["amount"] == "70.00"


def test_webhooks_send_it_once_signed_though_schedulers_run_at_once(
    give: Give, start_receiver: Callable[..., Receiver], add: Callable[..., NewSecret], make_users: Callable[[int], list[User]]
) -> None:
    receiver = start_receiver()
    made = add(receiver, TYPE)
    for user in make_users(6):
        give(user=user)
    NoticeCursor.objects.filter(source="mornings").update(at=Now() - timedelta(days=1))

    def send() -> None:
        delivery.deliver_webhooks(3)
        connections.close_all()

    sender = threading.Thread(target=send)
    sender.start()
    at_once(lambda _: record_notices(), range(4))
    record_notices()
    sender.join()
    deliver()

    messages = verify(made.secret, receiver)
    assert {message["data"]["user"] for message in messages} == {str(pk) for pk in Lot.objects.values_list("user", flat=True)}
    assert len(messages) == len(set(receiver.ids)) == 6


def test_a_page_costs_the_same_however_many_credits_end(
    give: Give, shop: Service, make_users: Callable[[int], list[User]], django_assert_num_queries: Any
) -> None:
    for user in make_users(3):
        give(user=user)
        give(7, user=user)
    run_morning()
    append_tick()

    for limit in (1, 2):  # the tick, the keys, the contents
        with django_assert_num_queries(3):
            assert len(read_events(START, service=shop.pk, types=[TYPE], limit=limit).events) == limit
