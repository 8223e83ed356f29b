"""Which emails a person gets: on the account page, in the API, and by the link of an email."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.tokens import issue_pair
from tests.mail import send_queued_emails
from wallet.actions.notice_preferences import change_notice_preferences, unsubscribe_by_link
from wallet.notices.models import NoticeKind, NoticeOptOut
from wallet.notices.unsubscribe_links import unsubscribe_token
from wallet.queries.notices import notice_preferences

pytestmark = pytest.mark.django_db
ALL = dict.fromkeys(NoticeKind, True)
API = "/api/v1/me/notices/"


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue_pair(user).access}"}


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def test_everybody_gets_every_kind_until_they_choose(alice: User) -> None:
    assert notice_preferences(alice) == ALL


def test_the_account_page_leads_to_the_choice_and_stores_it(browser: Client, alice: User, bob: User) -> None:
    assert reverse("notices") in browser.get(reverse("account")).content.decode()

    answer = browser.post(reverse("notices"), {"granted": "on", "language": "hi"})

    alice.refresh_from_db()
    assert (answer.status_code, answer["Location"], alice.language) == (302, reverse("account"), "hi")
    assert notice_preferences(alice) == {"ending_soon": False, "granted": True, "refunded": False}
    assert notice_preferences(bob) == ALL
    page = browser.get(reverse("notices")).content.decode()
    assert page.count(" checked") == 1


def test_an_unknown_language_is_refused(browser: Client, alice: User) -> None:
    assert browser.post(reverse("notices"), {"language": "xx"}).status_code == 200
    assert notice_preferences(alice) == ALL


def test_the_api_changes_what_is_named_and_keeps_the_rest(client: Client, alice: User) -> None:
    body = {"ending_soon": False, "language": "hi"}
    changed = client.patch(API, body, content_type="application/json", headers=bearer(alice))

    expected = {"ending_soon": False, "granted": True, "refunded": True, "language": "hi"}
    assert (changed.status_code, changed.json()) == (200, expected)
    assert client.get(API, headers=bearer(alice)).json() == expected


@pytest.mark.parametrize("body", [{"newsletter": True}, {"granted": "perhaps"}, {"language": "xx"}, {"granted": None}])
def test_the_api_refuses_what_it_does_not_know(client: Client, alice: User, body: dict[str, Any]) -> None:
    answer = client.patch(API, body, content_type="application/json", headers=bearer(alice))

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [*body]
    assert notice_preferences(alice) == ALL


def test_turning_a_kind_on_again_and_off_twice_is_harmless(alice: User) -> None:
    for wanted in (False, False, True, True):
        change_notice_preferences(alice, {NoticeKind.GRANTED: wanted})
        assert notice_preferences(alice)[NoticeKind.GRANTED] is wanted


def test_opening_the_link_of_an_email_changes_nothing(client: Client, alice: User) -> None:
    answer = client.get(reverse("unsubscribe", args=[unsubscribe_token(alice.pk, "granted")]))

    assert answer.status_code == 200
    assert '<form class="form" method="post">' in answer.content.decode()
    assert NoticeOptOut.objects.count() == 0


def test_the_post_of_a_mail_program_ends_that_kind(alice: User, bob: User) -> None:
    """As RFC 8058 has it: no cookies, no form token, and the answer is no redirect."""
    client = Client(enforce_csrf_checks=True)
    address = reverse("unsubscribe", args=[unsubscribe_token(alice.pk, "granted")])
    answers = [client.post(address, {"List-Unsubscribe": "One-Click"}).status_code for _ in range(2)]

    assert answers == [200, 200]
    assert notice_preferences(alice) == ALL | {NoticeKind.GRANTED: False}
    assert notice_preferences(bob) == ALL


def test_a_link_that_was_tampered_with_ends_nothing(client: Client, alice: User, bob: User) -> None:
    token = unsubscribe_token(alice.pk, "granted")
    others = [token.replace(alice.pk.hex, bob.pk.hex), token.replace("granted", "refunded"), token[:-1], "none"]
    answers = [client.post(reverse("unsubscribe", args=[other])).status_code for other in others]

    assert answers == [400] * 4
    assert NoticeOptOut.objects.count() == 0


def test_unsubscribing_is_in_the_audit_log(alice: User, audited: Any) -> None:
    unsubscribe_by_link(unsubscribe_token(alice.pk, "refunded"))

    assert [(event["event"], event["user"], event["kind"]) for event in audited()] == [
        ("unsubscribe", str(alice.pk), "refunded")
    ]


def test_the_language_of_the_pages_at_the_first_sign_in_is_the_language_of_emails(client: Client, db: None) -> None:
    client.post(reverse("set_language"), {"language": "hi"})
    client.post(reverse("register"), {"email": "new@example.com", "password": "a quite different one"})
    send_queued_emails()

    assert User.objects.get().language == "hi"


def test_choosing_another_language_on_a_page_changes_the_one_of_emails(browser: Client, alice: User) -> None:
    browser.post(reverse("set_language"), {"language": "hi"})
    alice.refresh_from_db()
    assert alice.language == "hi"

    browser.post(reverse("set_language"), {"language": "xx"})
    alice.refresh_from_db()
    assert alice.language == "hi"
