"""The forgotten password: a link by email that works once, for a short time, and tells nobody who has an account."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from traceback import format_exception
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import Settings

from accounts import password_reset, tokens
from accounts.email_links import LinkNotValid, make_link_token, password_tokens
from accounts.mail import MailNotSent
from accounts.models import User
from tests.accounts.conftest import Send
from tests.conftest import PASSWORD
from tests.mail import link_in, send_queued_emails, token_in

pytestmark = pytest.mark.django_db
FORGOTTEN, NEW = "/password/forgotten/", "a brand new passphrase"


def asked(client: Client, user: User) -> str:
    """Ask for a link on the page and return its path."""
    client.post(FORGOTTEN, {"email": user.email})
    (message,) = send_queued_emails()
    assert message.to == [user.email]
    return link_in(message)


def test_the_link_in_the_email_sets_a_new_password(client: Client, alice: User) -> None:
    link = asked(client, alice)

    assert "Choose a new password" in client.get(link).content.decode()
    answer = client.post(link, {"new_password": NEW}, follow=True)

    assert answer.redirect_chain == [("/sign-in/", 302)]
    assert "Password updated." in answer.content.decode()
    assert tokens.verify_credentials(alice.email, NEW) == alice
    with pytest.raises(tokens.BadCredentials):
        tokens.verify_credentials(alice.email, PASSWORD)


def test_the_api_asks_and_resets_with_the_token_of_the_link(post: Send, alice: User) -> None:
    assert post("password/forgotten/", {"email": "ALICE@example.com"}).status_code == 202
    token = token_in(send_queued_emails()[0])

    assert post("password/reset/", {"token": token, "new_password": NEW}).status_code == 204
    again = post("password/reset/", {"token": token, "new_password": "yet another passphrase"})

    assert (again.status_code, again.json()["code"]) == (400, "link_not_valid")
    assert tokens.verify_credentials(alice.email, NEW) == alice


def test_a_reset_ends_every_session_and_token(client: Client, alice: User, me: Any) -> None:
    thief, pair = Client(), tokens.issue_pair(alice)
    thief.force_login(alice)

    client.post(asked(client, alice), {"new_password": NEW})

    assert thief.get("/account/").status_code == 302
    assert me(pair.access).status_code == 401
    with pytest.raises(tokens.TokenNotValid):
        tokens.refresh_tokens(pair.refresh)


def test_a_reset_verifies_the_email_and_cancels_a_waiting_change_of_it(client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(pending_email="thief@example.com")

    client.post(asked(client, alice), {"new_password": NEW})

    alice.refresh_from_db()
    assert alice.email_verified_at is not None
    assert alice.pending_email == ""


def test_a_link_works_once(client: Client, alice: User) -> None:
    link = asked(client, alice)
    client.post(link, {"new_password": NEW})

    again = client.post(link, {"new_password": "yet another passphrase"})

    assert "expired or was already used" in again.content.decode()
    assert tokens.verify_credentials(alice.email, NEW) == alice


def test_a_link_expires_after_an_hour(client: Client, alice: User) -> None:
    link = asked(client, alice)

    with time_machine.travel(timezone.now() + timedelta(minutes=59), tick=False):
        assert "Save password" in client.get(link).content.decode()
    with time_machine.travel(timezone.now() + timedelta(minutes=61), tick=False):
        assert "expired or was already used" in client.post(link, {"new_password": NEW}).content.decode()
    assert tokens.verify_credentials(alice.email, PASSWORD) == alice


@pytest.mark.parametrize("change", [{"password": "!"}, {"email": "rao@example.com"}, {"is_active": False}], ids=str)
def test_a_link_ends_with_what_it_was_made_for(alice: User, change: dict[str, Any]) -> None:
    token = make_link_token(alice, password_tokens)
    User.objects.filter(pk=alice.pk).update(**change)

    with pytest.raises(LinkNotValid):
        password_reset.reset_password(token, NEW)


@pytest.mark.parametrize("token", ["x", "-", "00000000000070008000000000000000-abc-def", "é-1-2", "a" * 150])
def test_a_made_up_link_is_refused_by_page_and_api(client: Client, post: Send, token: str) -> None:
    answer = client.post(f"/password/reset/{token}/", {"new_password": NEW})

    assert (answer.status_code, "expired or was already used" in answer.content.decode()) == (200, True)
    assert post("password/reset/", {"token": token, "new_password": NEW}).json()["code"] == "link_not_valid"


def test_the_password_rules_hold_and_the_link_stays_good(client: Client, alice: User) -> None:
    link = asked(client, alice)

    answer = client.post(link, {"new_password": "short"})

    assert "new_password" in answer.context["form"].errors
    assert client.post(link, {"new_password": NEW}).status_code == 302


@pytest.mark.parametrize("known", [True, False])
def test_known_and_unknown_emails_get_the_same_answer_after_the_same_work(post: Send, alice: User, known: bool) -> None:
    email = alice.email if known else "nobody@example.com"

    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = post("password/forgotten/", {"email": email})

    assert (answer.status_code, answer.content) == (202, b"")
    assert len([query for query in queries if "accounts_user" in query["sql"]]) == 1
    assert len([query for query in queries if query["sql"].startswith('INSERT INTO "django_q_ormq"')]) == 1
    assert len(send_queued_emails()) == known


def test_the_task_holds_no_email_and_the_request_sends_nothing(client: Client, alice: User, mailoutbox: list[Any]) -> None:
    client.post(FORGOTTEN, {"email": alice.email})

    assert mailoutbox == []
    assert OrmQ.objects.count() == 1
    assert alice.email not in str(OrmQ.objects.get().task)
    assert str(alice.pk) in str(OrmQ.objects.get().task)


def test_a_mail_server_that_is_away_leaves_no_address_in_the_failed_task(
    client: Client, alice: User, settings: Settings
) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = (
        "django.core.mail.backends.smtp.EmailBackend",
        "127.0.0.1",
        1,
    )
    assert client.post(FORGOTTEN, {"email": alice.email}).status_code == 302

    with pytest.raises(MailNotSent) as refused:
        send_queued_emails()

    assert alice.email not in "".join(format_exception(refused.value))


def test_inactive_users_get_no_link(client: Client, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)

    client.post(FORGOTTEN, {"email": alice.email})

    assert send_queued_emails() == []


@pytest.mark.parametrize("host", ["evil.example", "testserver"])
def test_the_host_of_the_link_is_configured_and_not_the_requests(alice: User, host: str, settings: Settings) -> None:
    settings.ALLOWED_HOSTS, settings.PUBLIC_URL = ["*"], "https://wallet.example.com"

    Client(headers={"Host": host, "X-Forwarded-Host": host}).post(FORGOTTEN, {"email": alice.email})

    assert "https://wallet.example.com/password/reset/" in str(send_queued_emails()[0].body)


def test_requests_are_limited_per_mailbox_whether_known_or_not(alice: User) -> None:
    def answers(email: str) -> list[int]:
        callers = [Client(REMOTE_ADDR=f"203.0.113.{number}") for number in range(7)]
        url = "/api/v1/auth/password/forgotten/"
        return [caller.post(url, {"email": email}, content_type="application/json").status_code for caller in callers]

    assert answers(alice.email) == answers("nobody@example.com") == [202] * 5 + [429] * 2
    assert len(send_queued_emails()) == 5


def test_requests_are_limited_per_address(client: Client, settings: Settings) -> None:
    settings.RATES = settings.RATES | {"email_link_request": "3/d"}

    answers = [client.post(FORGOTTEN, {"email": f"user{number}@example.com"}) for number in range(4)]

    assert [answer.status_code for answer in answers] == [302] * 3 + [429]
    assert int(answers[3]["Retry-After"]) > 0


def test_opening_a_link_changes_nothing(client: Client, alice: User) -> None:
    link = asked(client, alice)

    for _ in range(2):
        assert client.get(link).status_code == 200

    assert tokens.verify_credentials(alice.email, PASSWORD) == alice


@pytest.mark.django_db(transaction=True)
def test_of_two_uses_of_a_link_at_once_one_succeeds() -> None:
    alice = User.objects.create_user("alice@example.com", PASSWORD)
    token = make_link_token(alice, password_tokens)

    def use(number: int) -> bool:
        try:
            password_reset.reset_password(token, f"a brand new passphrase {number}")
        except LinkNotValid:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(use, range(4)))

    assert sorted(outcomes) == [False, False, False, True]
