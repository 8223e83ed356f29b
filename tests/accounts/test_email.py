"""Changing the email of a user, which takes effect once the link sent to the new email is followed."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from accounts import email_change, tokens
from accounts.email_links import email_tokens, make_link_token
from accounts.email_verification import verify_email
from accounts.models import User
from accounts.registration import EmailTaken
from accounts.tokens import TokenPair
from tests.accounts.conftest import Send
from tests.concurrency import at_once
from tests.conftest import PASSWORD
from tests.mail import link_in, send_queued_emails, token_in

EMAIL = "/account/email/"
CHANGE = {"email": "Alice.Rao@Example.com", "current_password": PASSWORD}


@pytest.fixture
def alices(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def email_of(user: User) -> str:
    return User.objects.get(pk=user.pk).email


def errors(answer: Any) -> dict[str, list[str]]:
    return dict(answer.context["form"].errors)


def change_email(browser: Client) -> Any:
    """Ask for the change and follow the link."""
    browser.post(EMAIL, CHANGE)
    return browser.post(link_in(send_queued_emails()[0]), follow=True)


def test_the_new_email_signs_in_in_any_case_and_the_old_one_no_more(alices: Client, alice: User) -> None:
    answer = change_email(alices)

    assert answer.redirect_chain == [("/account/", 302)]
    assert "alice.rao@example.com is confirmed." in answer.content.decode()
    assert tokens.verify_credentials("ALICE.RAO@example.com", PASSWORD) == alice
    with pytest.raises(tokens.BadCredentials):
        tokens.verify_credentials("alice@example.com", PASSWORD)


def test_all_sessions_and_tokens_remain_valid(alices: Client, alice: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(alice)
    pair = tokens.issue_pair(alice)

    change_email(alices)

    assert [browser.get("/account/").status_code for browser in (alices, elsewhere)] == [200, 200]
    assert tokens.refresh_tokens(pair.refresh).access


@pytest.mark.parametrize(
    ("change", "field", "text"),
    [
        ({"current_password": "wrong"}, "current_password", "That's not your current password."),
        ({"current_password": "x" * 129}, "current_password", "Ensure this value has at most 128 characters (it has 129)."),
        ({"current_password": ""}, "current_password", "This field is required."),
        ({"email": "alice"}, "email", "Enter a valid email address."),
        ({"email": "ALICE@example.com"}, "email", "That's already your email."),
        ({"email": "BOB@example.com"}, "email", "This email already has an account. Choose another one."),
        (
            {"email": "Aliceß" + "x" * 255 + "@example.com"},
            "email",
            "Ensure this value has at most 254 characters (it has 273).",
        ),
    ],
)
def test_errors_are_shown_at_their_fields_and_nothing_changes(
    *, alices: Client, alice: User, bob: User, change: dict[str, str], field: str, text: str
) -> None:
    answer = alices.post(EMAIL, CHANGE | change)

    assert answer.status_code == 200
    assert text in errors(answer)[field]
    assert list(errors(answer)) == [field]
    assert (email_of(alice), email_of(bob)) == ("alice@example.com", "bob@example.com")


def test_wrong_password_does_not_reveal_whether_an_email_is_registered(alices: Client, bob: User) -> None:
    taken, free = (
        errors(alices.post(EMAIL, {"email": email, "current_password": "wrong"})) for email in (bob.email, "nobody@example.com")
    )

    assert taken == free == {"current_password": ["That's not your current password."]}


def test_guesses_at_the_present_password_are_counted(alices: Client, alice: User) -> None:
    answers = [alices.post(EMAIL, CHANGE | {"current_password": "wrong"}) for _ in range(5)]
    answers.append(alices.post(EMAIL, CHANGE))

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert int(answers[-1]["Retry-After"]) > 0
    assert email_of(alice) == "alice@example.com"


def test_a_stranger_is_asked_to_sign_in_first(client: Client, alice: User) -> None:
    assert client.post(EMAIL, CHANGE)["Location"] == f"/sign-in/?next={EMAIL}"
    assert email_of(alice) == "alice@example.com"


def test_until_the_link_is_followed_the_old_email_signs_in_and_is_told(alices: Client, alice: User) -> None:
    page = alices.post(EMAIL, CHANGE, follow=True).content.decode()
    link, notice = send_queued_emails()

    assert "Waiting for you to open the link" in page
    assert email_of(alice) == "alice@example.com"
    assert (link.to, notice.to) == (["alice.rao@example.com"], ["alice@example.com"])
    assert "about to change" in str(notice.subject)
    with pytest.raises(tokens.BadCredentials):
        tokens.verify_credentials("alice.rao@example.com", PASSWORD)


def test_a_password_change_cancels_a_waiting_change(alices: Client, alice: User) -> None:
    alices.post(EMAIL, CHANGE)
    link = link_in(send_queued_emails()[0])

    alices.post("/password/", {"current_password": PASSWORD, "new_password": "another horse battery"})

    assert "expired or was already used" in alices.post(link).content.decode()
    assert email_of(alice) == "alice@example.com"


def test_a_later_change_replaces_an_earlier_one(alices: Client, alice: User) -> None:
    alices.post(EMAIL, CHANGE)
    first = link_in(send_queued_emails()[0])
    alices.post(EMAIL, CHANGE | {"email": "rao@example.com"})
    second = link_in(send_queued_emails()[0])

    assert "expired or was already used" in alices.post(first).content.decode()
    assert alices.post(second).status_code == 302
    assert email_of(alice) == "rao@example.com"


def test_an_email_that_was_taken_meanwhile_is_refused_at_the_link(alices: Client, alice: User) -> None:
    alices.post(EMAIL, CHANGE)
    link = link_in(send_queued_emails()[0])
    User.objects.create_user("alice.rao@example.com", PASSWORD)

    assert "This email already has an account." in alices.post(link).content.decode()
    assert email_of(alice) == "alice@example.com"


def test_the_api_asks_for_a_change_and_verifies_it(client: Client, post: Send, pair: TokenPair, alice: User) -> None:
    headers = {"Authorization": f"Bearer {pair.access}"}
    asked = client.post("/api/v1/me/email/", CHANGE, content_type="application/json", headers=headers)
    token = token_in(send_queued_emails()[0])

    assert (asked.status_code, email_of(alice)) == (202, "alice@example.com")
    assert post("email/verify/", {"token": token}).status_code == 204
    assert email_of(alice) == "alice.rao@example.com"
    assert post("email/verify/", {"token": token}).json()["code"] == "link_not_valid"


@pytest.mark.django_db(transaction=True)
def test_one_of_two_concurrent_changes_to_one_email_succeeds() -> None:
    people = [User.objects.create_user(f"{name}@example.com", PASSWORD) for name in ("alice", "bob", "carol")]
    for user in people:
        email_change.request_email_change(user, PASSWORD, "rao@example.com")

    outcomes = at_once(lambda user: verify_email(make_link_token(user, email_tokens)) and None, people)

    assert [type(outcome) for outcome in outcomes if outcome is not None] == [EmailTaken] * 2
    assert User.objects.filter(email="rao@example.com").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["password = '!'", "is_active = false"])
def test_an_email_is_not_changed_when_the_account_changed_after_the_password_was_checked(
    elsewhere: psycopg.Connection[Any], change: str
) -> None:
    """Another transaction has changed the row without committing when the email is to be stored."""
    alice = User.objects.create_user("alice@example.com", PASSWORD)
    elsewhere.execute(f"UPDATE accounts_user SET {change} WHERE id = %s", [alice.pk])  # noqa: S608

    with ThreadPoolExecutor(1) as thread:
        outcome = thread.submit(
            at_once, lambda user: email_change.request_email_change(user, PASSWORD, "rao@example.com"), [alice]
        )
        wait_for_a_lock(elsewhere)
        elsewhere.commit()
        (refused,) = outcome.result(10)

    assert isinstance(refused, ValidationError)
    assert refused.error_dict["current_password"][0].code == "wrong_password"
    assert email_of(alice) == "alice@example.com"


def wait_for_a_lock(holder: psycopg.Connection[Any]) -> None:
    """Wait until a session waits for the holder's transaction."""
    for _ in range(200):
        waiting = "SELECT 1 FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
        if holder.execute(waiting, [holder.info.backend_pid]).fetchone():
            return
        holder.execute("SELECT pg_stat_clear_snapshot(), pg_sleep(0.01)")
    raise AssertionError("no session waits")
