"""Sending: signed, in order, again after failures, and one dead receiver delays nobody."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import cycle
from time import monotonic
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from accounts.services import Service
from dev.chaos.webhook_receiver import Receiver
from tests.delivery.conftest import deliver, reload, verify
from wallet.actions import deliver_webhooks as delivery
from wallet.actions import edit_webhook
from wallet.actions.edit_webhook import NewSecret
from wallet.delivery.models import WebhookAttempt, WebhookEndpoint
from wallet.delivery.ticks import append_tick
from wallet.ledger.models import Lot, Movement

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(start_receiver: Callable[..., Receiver]) -> Receiver:
    return start_receiver()


def test_events_arrive_signed_and_in_order(
    receiver: Receiver, add: Callable[..., NewSecret], credit: Callable[..., Lot], spend: Callable[..., Any]
) -> None:
    made = add(receiver)
    credit()
    for _ in range(3):
        spend("10.00")

    assert deliver() == 3

    messages = verify(made.secret, receiver)
    assert [message["data"]["number"] for message in messages] == [1, 2, 3]
    assert [headers["webhook-id"] for headers, _ in receiver.raw] == receiver.ids
    assert receiver.ids == [f"movement_{pk}" for pk in Movement.objects.order_by("number").values_list("pk", flat=True)]
    endpoint = reload(made.endpoint)
    assert (endpoint.delivered, endpoint.state, endpoint.lease) == (3, "active", None)
    logged = WebhookAttempt.objects.get()
    assert (logged.event_ids, logged.status, logged.succeeded) == (receiver.ids, 200, True)


def test_a_wrong_secret_and_a_changed_body_do_not_verify(
    receiver: Receiver, add: Callable[..., NewSecret], credit: Callable[..., Lot], spend: Callable[..., Any]
) -> None:
    made = add(receiver)
    credit()
    spend("10.00")
    deliver()
    ((headers, body),) = receiver.raw

    with pytest.raises(WebhookVerificationError):
        Webhook(made.secret).verify(body.replace("10.00", "90.00"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 44).verify(body, headers)


def test_both_secrets_sign_after_a_rotation_until_the_overlap_ends(receiver: Receiver, add: Callable[..., NewSecret]) -> None:
    first = add(receiver)
    second = edit_webhook.rotate_webhook_secret(first.endpoint, timedelta(hours=1))
    edit_webhook.send_test_event(second.endpoint)

    assert first.secret != second.secret
    assert verify(first.secret, receiver) == verify(second.secret, receiver) == receiver.received

    WebhookEndpoint.objects.update(previous_secret_until=Now())
    edit_webhook.send_test_event(reload(first.endpoint))
    assert len(verify(second.secret, receiver)) == 2
    with pytest.raises(WebhookVerificationError):
        verify(first.secret, receiver)


def test_a_new_secret_key_signs_beside_the_earlier_one(
    receiver: Receiver, add: Callable[..., NewSecret], settings: Settings
) -> None:
    made = add(receiver)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key, as long as a key must be at the least"

    edit_webhook.send_test_event(made.endpoint)

    assert verify(made.secret, receiver) == receiver.received != []


def test_no_table_holds_a_secret(receiver: Receiver, add: Callable[..., NewSecret]) -> None:
    made = add(receiver)

    assert made.secret.removeprefix("whsec_") not in str(list(WebhookEndpoint.objects.values()))


def test_a_failure_is_tried_again_and_nothing_overtakes_it(
    start_receiver: Callable[..., Receiver],
    add: Callable[..., NewSecret],
    credit: Callable[..., Lot],
    spend: Callable[..., Any],
) -> None:
    answers = cycle([500, "cut", 200, "lose", 302, 200])
    receiver = start_receiver(answer=lambda: next(answers))
    made = add(receiver)
    credit()
    for _ in range(4):
        spend("1.00")

    deliver(lambda: reload(made.endpoint).delivered == 4)

    numbers = [message["data"]["number"] for message in receiver.received]
    assert numbers == sorted(numbers)
    assert set(numbers) == {1, 2, 3, 4}
    assert len(set(receiver.ids)) == 4
    assert reload(made.endpoint).state == "active"
    assert {attempt.status for attempt in WebhookAttempt.objects.filter(succeeded=False)} == {500, 302, None}


def test_a_dead_receiver_delays_no_other(
    start_receiver: Callable[..., Receiver],
    add: Callable[..., NewSecret],
    credit: Callable[..., Lot],
    spend: Callable[..., Any],
    settings: Settings,
) -> None:
    settings.WEBHOOK_TIMEOUT = 3
    arrived = threading.Event()
    dead, alive = start_receiver(answer=lambda: arrived.wait(10) and "hang"), start_receiver()
    ends = add(dead), add(alive)
    credit()
    for _ in range(20):
        spend("1.00")

    deliver(lambda: reload(ends[0].endpoint).failures > 0, seconds=4)
    arrived.set()

    failed = WebhookAttempt.objects.filter(endpoint=ends[0].endpoint).earliest("at")
    others = reload(ends[1].endpoint)
    assert (len(alive.ids), failed.detail) == (20, "The receiver took too long.")
    assert others.last_success_at is not None
    assert others.last_success_at < failed.at
    assert [reload(ends[0].endpoint).state, others.state] == ["retrying", "active"]


def test_a_webhook_that_is_removed_while_events_are_sent_ends_nothing_else(
    start_receiver: Callable[..., Receiver],
    add: Callable[..., NewSecret],
    credit: Callable[..., Lot],
    spend: Callable[..., Any],
) -> None:
    def remove() -> int:
        WebhookEndpoint.objects.filter(pk=removed.endpoint.pk).delete()
        connection.close()
        return 500

    removed, kept = add(start_receiver(answer=remove)), start_receiver()
    add(kept)
    credit()
    spend("1.00")

    deliver()

    assert len(kept.ids) == 1
    assert WebhookEndpoint.objects.count() == 1


def test_an_endpoint_that_had_its_turn_is_behind_the_others(
    start_receiver: Callable[..., Receiver],
    add: Callable[..., NewSecret],
    credit: Callable[..., Lot],
    spend: Callable[..., Any],
) -> None:
    first, second = (add(start_receiver()).endpoint for _ in range(2))
    for amount in ("1.00", "2.00"):
        credit()
        spend(amount)
        append_tick()
        assert delivery.due_endpoints(1) == [first.pk]
        delivery.deliver_to(first.pk, monotonic() + 5)
        credit()
        append_tick()
        assert delivery.due_endpoints(1) == [second.pk]
        delivery.deliver_to(second.pk, monotonic() + 5)


def test_waits_double_up_to_an_hour_with_jitter(settings: Settings) -> None:
    settings.WEBHOOK_RETRY_SECONDS = 5

    for failures, longest in ((1, 5), (2, 10), (5, 80), (10, 2560), (11, 3600), (500, 3600)):
        waits = [delivery.wait_after(failures).total_seconds() for _ in range(50)]
        assert longest / 2 <= min(waits) < max(waits) <= longest


def test_an_endpoint_is_given_up_after_a_day_and_goes_on_where_it_stopped_when_it_is_sent_again(
    start_receiver: Callable[..., Receiver],
    add: Callable[..., NewSecret],
    credit: Callable[..., Lot],
    spend: Callable[..., Any],
) -> None:
    status = 500
    receiver = start_receiver(answer=lambda: status)
    made = add(receiver)
    credit()
    spend("1.00")
    deliver(lambda: reload(made.endpoint).failures > 0)
    WebhookEndpoint.objects.update(failing_since=F("failing_since") - timedelta(hours=24), next_attempt_at=Now())
    deliver(lambda: reload(made.endpoint).state == "failing")
    given_up = reload(made.endpoint)
    requests = receiver.requests
    spend("2.00")
    deliver(seconds=1.2)

    assert (given_up.state, receiver.requests) == ("failing", requests)

    status = 200
    edit_webhook.resend_webhook(made.endpoint)
    deliver()
    assert [message["data"]["amount"] for message in receiver.received] == ["1.00", "2.00"]
    assert reload(made.endpoint).state == "active"


def test_a_receiver_that_is_gone_is_given_up_at_once(
    start_receiver: Callable[..., Receiver],
    add: Callable[..., NewSecret],
    credit: Callable[..., Lot],
    spend: Callable[..., Any],
) -> None:
    made = add(start_receiver(answer=lambda: 410))
    credit()
    spend("1.00")

    deliver(lambda: reload(made.endpoint).state == "failing")

    assert reload(made.endpoint).state == "failing"


def test_events_since_a_time_are_sent_again(
    receiver: Receiver, add: Callable[..., NewSecret], credit: Callable[..., Lot], spend: Callable[..., Any]
) -> None:
    made = add(receiver)
    credit()
    spend("1.00")
    deliver()

    edit_webhook.resend_webhook(made.endpoint, timezone.now() - timedelta(hours=1))
    deliver()

    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


def test_only_chosen_types_and_own_events_are_sent(
    start_receiver: Callable[..., Receiver],
    add: Callable[..., NewSecret],
    credit: Callable[..., Lot],
    spend: Callable[..., Any],
    other_shop: Service,
) -> None:
    holds, theirs = start_receiver(), start_receiver()
    made = add(holds, "payment.held")
    add(theirs, service=other_shop)
    credit()
    spend("1.00")
    spend("2.00", capture=False)

    deliver()

    assert (holds.types, theirs.types) == (["payment.held"], [])
    assert not delivery.due_endpoints(10)
    assert reload(made.endpoint).delivered == 1


def test_paused_endpoints_and_stopped_services_get_nothing(
    receiver: Receiver, add: Callable[..., NewSecret], credit: Callable[..., Lot], spend: Callable[..., Any], shop: Service
) -> None:
    made = add(receiver)
    edit_webhook.set_webhook_active(made.endpoint, False)
    credit()
    spend("1.00")
    deliver()
    edit_webhook.set_webhook_active(made.endpoint, True)
    Service.objects.filter(pk=shop.pk).update(is_active=False)
    deliver()
    assert receiver.requests == 0

    Service.objects.filter(pk=shop.pk).update(is_active=True)
    deliver()
    assert receiver.types == ["payment.spent"]


def test_an_endpoint_is_leased_to_one_worker(
    receiver: Receiver, add: Callable[..., NewSecret], credit: Callable[..., Lot], spend: Callable[..., Any]
) -> None:
    made = add(receiver)

    assert delivery.lease_endpoint(made.endpoint.pk) is not None
    assert delivery.lease_endpoint(made.endpoint.pk) is None

    WebhookEndpoint.objects.update(leased_until=Now() - timedelta(seconds=1))
    assert delivery.lease_endpoint(made.endpoint.pk) is not None


def test_a_worker_that_lost_its_lease_saves_nothing(receiver: Receiver, add: Callable[..., NewSecret]) -> None:
    made = add(receiver)
    slow = delivery.lease_endpoint(made.endpoint.pk)
    assert slow is not None
    WebhookEndpoint.objects.update(leased_until=Now() - timedelta(seconds=1))
    delivery.lease_endpoint(made.endpoint.pk)
    slow.cursor = "999"

    assert not delivery.save(delivery.Run(slow))
    assert reload(made.endpoint).cursor != "999"


def test_a_url_that_is_no_longer_allowed_is_not_sent_to(
    receiver: Receiver, add: Callable[..., NewSecret], credit: Callable[..., Lot], spend: Callable[..., Any], settings: Settings
) -> None:
    made = add(receiver)
    credit()
    spend("1.00")
    settings.WEBHOOK_PRIVATE_ADDRESSES = False

    deliver(lambda: reload(made.endpoint).failures > 0)

    assert receiver.requests == 0
    assert WebhookAttempt.objects.filter(succeeded=False)[0].detail.startswith("Use https://.")
    assert reload(made.endpoint).state == "retrying"


def test_a_second_webhook_with_the_same_url_and_unknown_types_are_refused(
    receiver: Receiver, add: Callable[..., NewSecret], shop: Service
) -> None:
    add(receiver)

    with pytest.raises(ValidationError, match="already"):
        add(receiver)
    with pytest.raises(ValidationError, match="Unknown event type"):
        edit_webhook.add_webhook(shop, "https://shop.example/", ["credit.stolen"])
    assert WebhookEndpoint.objects.count() == 1


def test_a_service_has_at_most_twenty_webhooks(shop: Service) -> None:
    for number in range(edit_webhook.MAX_ENDPOINTS):
        edit_webhook.add_webhook(shop, f"https://shop.example/{number}")

    with pytest.raises(ValidationError, match="too many"):
        edit_webhook.add_webhook(shop, "https://shop.example/more")


def test_old_lines_of_the_log_are_deleted(receiver: Receiver, add: Callable[..., NewSecret]) -> None:
    made = add(receiver)
    edit_webhook.send_test_event(made.endpoint)
    WebhookAttempt.objects.update(at=Now() - timedelta(days=31))
    edit_webhook.send_test_event(made.endpoint)

    assert (delivery.delete_old_attempts(), WebhookAttempt.objects.count()) == (1, 1)


@pytest.mark.parametrize("wrong_by", [timedelta(days=2), timedelta(days=-2)])
def test_a_host_with_a_wrong_clock_signs_with_the_right_time_and_gives_nothing_up_early(
    start_receiver: Callable[..., Receiver],
    add: Callable[..., NewSecret],
    credit: Callable[..., Lot],
    spend: Callable[..., Any],
    wrong_by: timedelta,
) -> None:
    alive, failing = start_receiver(), start_receiver(answer=lambda: 500)
    made, failed = add(alive), add(failing)
    credit()
    spend("1.00")

    with time_machine.travel(timezone.now() + wrong_by, tick=True):
        deliver(lambda: len(alive.raw) == 1 and failing.requests > 1)

    assert len(verify(made.secret, alive)) == 1  # the package refuses times that are five minutes off
    assert failing.requests > 1
    assert reload(failed.endpoint).given_up_at is None


def test_a_test_event_has_the_time_of_the_database(receiver: Receiver, add: Callable[..., NewSecret]) -> None:
    made = add(receiver)

    with time_machine.travel(timezone.now() + timedelta(days=2), tick=True):
        edit_webhook.send_test_event(made.endpoint)

    (message,) = verify(made.secret, receiver)
    assert abs(datetime.fromisoformat(message["timestamp"]) - timezone.now()) < timedelta(minutes=1)
