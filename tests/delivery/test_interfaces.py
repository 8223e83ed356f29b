"""Webhooks by the API, the console, the command line and the metrics."""

import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import User
from accounts.services import Service
from dev.chaos.webhook_receiver import Receiver
from tests.api.conftest import ROOT, Caller
from tests.delivery.conftest import deliver, reload, verify
from tests.payments.conftest import with_key
from wallet.actions.edit_webhook import NewSecret
from wallet.delivery.models import WebhookAttempt, WebhookEndpoint
from wallet.delivery.ticks import append_tick
from wallet.ledger.models import Lot

pytestmark = pytest.mark.django_db(transaction=True)
WEBHOOKS = f"{ROOT}/webhooks/"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{43}=")


@pytest.fixture
def receiver(start_receiver: Callable[..., Receiver]) -> Receiver:
    return start_receiver()


@pytest.fixture
def console(client: Client, ada: User) -> Client:
    client.force_login(ada)
    return client


def send(console: Client, **fields: Any) -> str:
    answer = console.post(reverse("webhooks"), fields)
    assert answer.status_code == 200
    return answer.content.decode()


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("webhook", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def metric(name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", Client().get("/metrics").content.decode(), re.MULTILINE)
    assert found
    return float(found[1])


def test_a_service_adds_tests_and_removes_its_webhook(as_shop: Caller, receiver: Receiver) -> None:
    made = as_shop.post(WEBHOOKS, {"url": receiver.url, "event_types": ["payment.held"]})
    assert made.status_code == 201
    body = made.json()
    assert SECRET.fullmatch(body.pop("secret"))

    listed = as_shop.get(WEBHOOKS)
    tested = as_shop.post(f"{WEBHOOKS}{body['id']}/test/")

    assert listed.json()["results"] == [body]
    assert (body["event_types"], body["state"], body["delivered"]) == (["payment.held"], "active", 0)
    assert (tested.status_code, tested.json()["succeeded"], tested.json()["status"]) == (200, True, 200)
    assert receiver.types == ["webhook.test"]
    assert as_shop.delete(f"{WEBHOOKS}{body['id']}/").status_code == 204
    assert not WebhookEndpoint.objects.exists()


def test_another_service_neither_sees_nor_touches_it(
    as_other_shop: Caller, add: Callable[..., NewSecret], receiver: Receiver
) -> None:
    endpoint = add(receiver).endpoint

    assert as_other_shop.get(WEBHOOKS).json()["results"] == []
    assert as_other_shop.post(f"{WEBHOOKS}{endpoint.pk}/test/").status_code == 404
    assert as_other_shop.delete(f"{WEBHOOKS}{endpoint.pk}/").status_code == 404
    assert (receiver.requests, WebhookEndpoint.objects.count()) == (0, 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "shop.example"}, "url"),
        ({"url": "https://shop.example/", "event_types": ["credit.stolen"]}, "event_types"),
        ({"url": "https://shop.example/", "secret": "mine"}, "secret"),
    ],
)
def test_a_wrong_webhook_is_refused(as_shop: Caller, body: dict[str, Any], field: str) -> None:
    answer = as_shop.post(WEBHOOKS, body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].split(".")[0] == field
    assert not WebhookEndpoint.objects.exists()


def test_a_private_address_is_refused_by_the_api(as_shop: Caller, settings: Settings) -> None:
    settings.WEBHOOK_PRIVATE_ADDRESSES = False

    answers = [as_shop.post(WEBHOOKS, {"url": url}) for url in ("https://169.254.169.254/", "http://shop.example/")]

    assert [answer.status_code for answer in answers] == [400, 400]


def test_webhooks_need_the_scope(new_key: Callable[..., Any]) -> None:
    """A key that reads events may not have them sent elsewhere."""
    reader = with_key(new_key("events:read").text)

    for answer in (reader.get(WEBHOOKS), reader.post(WEBHOOKS, {"url": "https://shop.example/"})):
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert not WebhookEndpoint.objects.exists()


def test_an_operator_adds_a_webhook_whose_secret_is_shown_once(
    console: Client, ada: User, shop: Service, receiver: Receiver, audited: Callable[[], list[dict[str, Any]]]
) -> None:
    page = send(console, verb="add", service=str(shop.pk), url=receiver.url, event_types=["payment.held"])

    found = SECRET.search(page.replace("&#x2B;", "+"))
    assert found
    endpoint = WebhookEndpoint.objects.get()
    assert (endpoint.created_by, endpoint.event_types) == (ada, ["payment.held"])
    send(console, verb="test", webhook=str(endpoint.pk))
    assert verify(found[0], receiver) == receiver.received != []
    assert found[0] not in console.get(reverse("webhooks")).content.decode()
    assert [(event["event"], event["change"]) for event in audited()] == [("webhook", "add")]


def test_the_console_shows_the_log_and_sends_again(
    console: Client,
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
    WebhookEndpoint.objects.update(given_up_at=Now())

    page = console.get(reverse("webhooks")).content.decode()
    assert "Failing: sending has stopped" in page
    assert "500" in page
    assert "ok" in page

    status = 200
    send(console, verb="resend", webhook=str(made.endpoint.pk))
    deliver()
    assert receiver.types == ["payment.spent"]
    assert "1 event delivered" in console.get(reverse("webhooks")).content.decode()


def test_an_operator_pauses_resumes_rotates_and_removes(
    console: Client, add: Callable[..., NewSecret], receiver: Receiver
) -> None:
    pk = str(add(receiver).endpoint.pk)

    send(console, verb="pause", webhook=pk)
    assert WebhookEndpoint.objects.get().state == "paused"
    send(console, verb="start", webhook=pk)
    assert WebhookEndpoint.objects.get().state == "active"
    assert SECRET.search(send(console, verb="rotate", webhook=pk).replace("&#x2B;", "+"))
    send(console, verb="remove", webhook=pk)
    assert not WebhookEndpoint.objects.exists()
    assert "No webhooks yet" in console.get(reverse("webhooks")).content.decode()


@pytest.mark.parametrize("fields", [{"verb": "add", "url": "nonsense"}, {"verb": "test", "webhook": "nonsense"}])
def test_wrong_input_on_the_page_is_shown(console: Client, fields: dict[str, str]) -> None:
    assert "error" in send(console, **fields).lower()


def test_a_test_event_that_does_not_arrive_is_shown(
    console: Client, start_receiver: Callable[..., Receiver], add: Callable[..., NewSecret]
) -> None:
    made = add(start_receiver(answer=lambda: 503))

    assert "The test event did not arrive: 503 ok" in send(console, verb="test", webhook=str(made.endpoint.pk))


def test_a_failing_webhook_is_an_alert_of_the_overview(
    console: Client, add: Callable[..., NewSecret], receiver: Receiver
) -> None:
    add(receiver)
    WebhookEndpoint.objects.update(failing_since=Now() - timedelta(minutes=16))
    titles = [alert.title for alert in console.get(reverse("admin:index")).context["alerts"]]

    assert "1 webhook is failing: Shop does not get its events." in titles

    WebhookEndpoint.objects.update(failing_since=Now() - timedelta(minutes=5))
    titles = [alert.title for alert in console.get(reverse("admin:index")).context["alerts"]]
    assert not any("webhook" in title for title in titles)


def test_the_page_costs_two_queries_for_the_list_and_one_for_each_log(
    console: Client, add: Callable[..., NewSecret], start_receiver: Callable[..., Receiver], django_assert_max_num_queries: Any
) -> None:
    for _ in range(3):
        add(start_receiver())
    console.get(reverse("webhooks"))

    with django_assert_max_num_queries(12):
        console.get(reverse("webhooks"))


def test_the_command_adds_lists_tests_rotates_sends_again_and_removes(shop: Service, receiver: Receiver) -> None:
    secret = run("add", "Shop", receiver.url, "--types", "payment.held")
    assert SECRET.fullmatch(secret)
    pk = str(WebhookEndpoint.objects.get().pk)

    assert f"{pk}  Shop  {receiver.url}  active  0 delivered, 0 behind, last never  payment.held" == run("list")
    assert run("test", pk).startswith("The test event arrived: 200 after")
    assert verify(secret, receiver) == receiver.received
    assert SECRET.fullmatch(run("rotate", pk, "--hours", "1")) is not None
    for verb in ("pause", "start", "resend"):
        assert run(verb, pk) == f"Done: {verb} {receiver.url}."
    assert run("remove", pk) == f"Done: remove {receiver.url}."
    assert run("list") == ""


def test_a_dry_run_of_the_command_changes_nothing(shop: Service, receiver: Receiver, add: Callable[..., NewSecret]) -> None:
    endpoint = add(receiver).endpoint

    assert "dry run" in run("add", "Shop", "https://shop.example/", "--dry-run")
    for verb in ("test", "rotate", "pause", "resend", "remove"):
        assert "dry run" in run(verb, str(endpoint.pk), "--dry-run")

    assert (WebhookEndpoint.objects.get(), receiver.requests) == (reload(endpoint), 0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("add", "Nobody", "https://shop.example/"), "There is no service Nobody."),
        (("add", "Shop", "nonsense"), "Enter the full URL of the receiver"),
        (("test", "01990000-0000-7000-8000-000000000001"), "There is no webhook"),
    ],
)
def test_the_command_refuses_with_one_sentence(shop: Service, arguments: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(*arguments)


def test_counts_and_lag_are_in_the_metrics(
    client: Client, add: Callable[..., NewSecret], receiver: Receiver, credit: Callable[..., Lot], spend: Callable[..., Any]
) -> None:
    made = add(receiver)
    credit()
    spend("1.00")
    append_tick()
    names = ("failing", "lag_events", "lag_seconds", "events_delivered")

    before = [metric(f"cashback_webhook{'s' if name == 'failing' else ''}_{name}") for name in names]
    deliver()
    WebhookEndpoint.objects.update(failing_since=Now())
    after = [metric(f"cashback_webhook{'s' if name == 'failing' else ''}_{name}") for name in names]

    assert (before[0], before[1], before[3]) == (0, 3, 0)
    assert 0 < before[2] < 30
    assert after == [1, 0, 0, 1]
    assert reload(made.endpoint).delivered == 1
    assert WebhookAttempt.objects.count() == 1
