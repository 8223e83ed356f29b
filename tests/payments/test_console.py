"""The console's page of services and their keys."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.service_keys import NewKey
from accounts.services import Scope, Service, ServiceKey
from tests.payments.conftest import PAYMENTS, problem, with_key

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def console(client: Client, ada: User) -> Client:
    client.force_login(ada)
    return client


def send(console: Client, **fields: Any) -> str:
    answer = console.post(reverse("services"), fields)
    assert answer.status_code == 200
    return answer.content.decode()


def shown_key(page: str) -> str:
    """Return the key on a page."""
    found = re.search(r"<code>(\w{8}\.\w{32})</code>", page)
    assert found
    return found[1]


def test_an_operator_makes_a_key_which_is_shown_once(
    console: Client, ada: User, audited: Callable[[], list[dict[str, Any]]]
) -> None:
    text = shown_key(send(console, verb="create", service="Web shop", scopes=[Scope.READ_PAYMENTS], days="30"))

    assert with_key(text).get(PAYMENTS).status_code == 200
    key = ServiceKey.objects.get()
    assert (key.created_by, key.scopes, key.service.name) == (ada, ["payments:read"], "Web shop")
    assert [(event["event"], event["user"]) for event in audited()] == [("service_key", str(ada.pk))]
    page = console.get(reverse("services")).content.decode()
    assert key.prefix in page
    assert text not in page


def test_a_key_is_rotated_and_revoked(console: Client, new_key: Callable[..., NewKey]) -> None:
    made = new_key()

    successor = shown_key(send(console, verb="rotate", key=str(made.key.pk), hours="2"))
    assert [with_key(text).get(PAYMENTS).status_code for text in (made.text, successor)] == [200, 200]
    send(console, verb="revoke", key=str(made.key.pk))
    assert problem(with_key(made.text).get(PAYMENTS)) == (401, "key_not_valid")
    assert with_key(successor).get(PAYMENTS).status_code == 200


def test_a_stopped_service_is_refused_until_it_is_started(
    console: Client, new_key: Callable[..., NewKey], shop: Service
) -> None:
    text = new_key().text

    for verb, status in (("stop", 401), ("start", 200)):
        send(console, verb=verb, service=str(shop.pk))
        assert with_key(text).get(PAYMENTS).status_code == status


@pytest.mark.parametrize(
    "fields",
    [
        {"verb": "create", "service": "Web shop"},
        {"verb": "create", "service": "Web shop", "scopes": ["payments:steal"]},
        {"verb": "create", "service": "", "scopes": ["payments:read"]},
        {"verb": "create", "service": "Web shop", "scopes": ["payments:read"], "days": "0"},
        {"verb": "rotate", "key": "nothing", "hours": "1"},
    ],
)
def test_a_wrong_form_changes_nothing(console: Client, shop: Service, fields: dict[str, Any]) -> None:
    page = send(console, **fields)

    assert "<code>" not in page
    assert (Service.objects.count(), ServiceKey.objects.count()) == (1, 0)


def test_users_see_nothing_of_it(client: Client, alice: User) -> None:
    client.force_login(alice)

    for answer in (client.get(reverse("services")), client.post(reverse("services"), {"verb": "create"})):
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("admin:login"))
