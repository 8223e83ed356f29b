"""POST auth/password/"""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts import passwords, tokens
from accounts.models import TokenFamily, User
from accounts.tokens import TokenNotValid, TokenPair
from tests.accounts.conftest import Send
from tests.concurrency import at_once
from tests.conftest import PASSWORD

NEW = "another horse battery"
CHANGE = {"current_password": PASSWORD, "new_password": NEW}


def test_the_new_password_signs_in_and_the_old_one_no_more(post: Send, alice: User, pair: TokenPair) -> None:
    answer = post("password/", CHANGE, pair.access)

    assert (answer.status_code, answer.content) == (204, b"")
    assert post("token/", {"email": alice.email, "password": NEW}).status_code == 200
    assert post("token/", {"email": alice.email, "password": PASSWORD}).status_code == 401


def test_every_other_token_and_session_ends_and_this_sign_in_goes_on(
    post: Send, me: Callable[[str], Any], alice: User, pair: TokenPair
) -> None:
    elsewhere = tokens.issue_pair(alice)
    browser = Client()
    browser.force_login(alice)

    post("password/", CHANGE, pair.access)

    assert me(elsewhere.access).status_code == 401
    assert browser.get("/api/v1/auth/me/").status_code == 401
    with pytest.raises(TokenNotValid):
        tokens.refresh_tokens(elsewhere.refresh)
    assert me(pair.access).status_code == 200
    assert me(tokens.refresh_tokens(pair.refresh).access).status_code == 200
    assert TokenFamily.objects.filter(revoked_reason="PASSWORD").count() == 1


def test_a_browsers_session_goes_on_when_it_made_the_change(
    client: Client, me: Callable[[str], Any], alice: User, pair: TokenPair
) -> None:
    client.force_login(alice)

    assert client.post("/api/v1/auth/password/", CHANGE, content_type="application/json").status_code == 204

    assert client.get("/api/v1/auth/me/").status_code == 200
    assert me(pair.access).status_code == 401


def test_a_change_costs_six_queries(post: Send, pair: TokenPair, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(6):  # who, savepoint, password, end the others, carry this one on, release
        post("password/", CHANGE, pair.access)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"current_password": "wrong"}, ("current_password", "wrong_password")),
        ({"new_password": "short"}, ("new_password", "password_too_short")),
        ({"new_password": "alice@example.com"}, ("new_password", "password_too_similar")),
        ({"new_password": "x" * 129}, ("new_password", "max_length")),
    ],
)
def test_a_refused_change_changes_nothing(
    post: Send, alice: User, pair: TokenPair, change: dict[str, str], wrong: tuple[str, str]
) -> None:
    answer = post("password/", CHANGE | change, pair.access)

    assert answer.status_code == 400
    assert wrong in {(error["field"], error["code"]) for error in answer.json()["errors"]}
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
    assert TokenFamily.objects.get().revoked_at is None


@pytest.mark.django_db(transaction=True)
def test_one_of_two_concurrent_changes_succeeds() -> None:
    User.objects.create_user("alice@example.com", PASSWORD)
    chosen = ["another horse battery", "yet another battery", "one more battery"]

    def change(new: str) -> None:
        passwords.change_password(User.objects.get(), PASSWORD, new)

    outcomes = at_once(change, chosen)

    made = [new for new, outcome in zip(chosen, outcomes, strict=True) if outcome is None]
    assert len(made) == 1
    assert User.objects.get().check_password(made[0])


def test_guessing_the_present_password_is_limited_as_signing_in_is(post: Send, alice: User, pair: TokenPair) -> None:
    guesses = [post("password/", CHANGE | {"current_password": "wrong"}, pair.access).status_code for _ in range(5)]
    sixth = post("password/", CHANGE, pair.access)

    assert guesses == [400] * 5
    assert sixth.status_code == 429
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_an_anonymous_caller_is_asked_to_sign_in(post: Send, alice: User) -> None:
    assert post("password/", CHANGE).json()["code"] == "not_authenticated"
