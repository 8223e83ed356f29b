"""The pages for registration, sign-in, sign-out and password change."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts import tokens
from accounts.models import User
from kernel.rate_limits import format_wait
from tests.conftest import PASSWORD

CREDENTIALS = {"username": "alice@example.com", "password": PASSWORD}
NEW = "another horse battery"


def errors(answer: Any) -> dict[str, list[str]]:
    return dict(answer.context["form"].errors)


def guesses(client: Client, times: int) -> list[int]:
    return [client.post("/sign-in/", CREDENTIALS | {"password": "wrong"}).status_code for _ in range(times)]


@pytest.mark.parametrize("name", ["register", "sign_in"])
def test_sign_in_and_registration_pages_are_public(client: Client, db: None, name: str) -> None:
    answer = client.get(reverse(name))

    assert answer.status_code == 200
    assert answer.content.count(b"<h1>") == 1
    assert re.search(rb'autocomplete="(email|username)"', answer.content)


# --- Register ----------------------------------------------------------------------------------------------------------


def test_a_newcomer_is_registered_and_signed_in(client: Client, db: None) -> None:
    answer = client.post("/register/", {"email": "Carol@example.com", "password": PASSWORD})

    assert (answer.status_code, answer["Location"]) == (302, "/offers/")
    assert client.session["_auth_user_id"] == str(User.objects.get(email="carol@example.com").pk)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "alice@example.com"}, "email"),
        ({"email": "carol"}, "email"),
        ({"email": "carol\x00@example.com"}, "email"),
        ({"password": "password123"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": ""}, "password"),
    ],
)
def test_errors_are_shown_at_their_fields(client: Client, alice: User, change: dict[str, str], field: str) -> None:
    answer = client.post("/register/", {"email": "carol@example.com", "password": PASSWORD} | change)

    assert answer.status_code == 200
    assert list(errors(answer)) == [field]
    assert User.objects.count() == 1
    assert "_auth_user_id" not in client.session


def test_a_wrong_email_does_not_hide_what_is_wrong_with_the_password(client: Client, db: None) -> None:
    answer = client.post("/register/", {"email": "carol", "password": "password123"})

    assert errors(answer) == {"email": ["Enter a valid email address."], "password": ["This password is too common."]}


def test_an_eleventh_registration_is_asked_to_wait(client: Client, db: None) -> None:
    for _ in range(10):
        client.post("/register/", {"email": "carol@example.com", "password": "password123"})

    answer = client.post("/register/", {"email": "carol@example.com", "password": PASSWORD})

    assert answer.status_code == 429
    wait = format_wait(int(answer["Retry-After"]))
    assert errors(answer)["__all__"] == [f"Too many attempts. Please wait {wait}, then try again."]
    assert User.objects.count() == 0


# --- Sign in and out ---------------------------------------------------------------------------------------------------


def test_signing_in_leads_to_the_dashboard_under_a_new_session_key(client: Client, alice: User) -> None:
    session = client.session
    session["basket"] = "kept"
    session.save()
    before = session.session_key or ""

    answer = client.post("/sign-in/", CREDENTIALS)

    assert (answer.status_code, answer["Location"]) == (302, "/dashboard/")
    assert client.session.session_key != before
    assert not client.session.exists(before)
    assert (client.session["basket"], client.session["_auth_user_id"]) == ("kept", str(alice.pk))


@pytest.mark.parametrize(
    ("target", "where"),
    [
        ("/claims/", "/claims/"),
        ("https://evil.example/", "/dashboard/"),
        ("//evil.example/", "/dashboard/"),
        ("javascript:alert(1)", "/dashboard/"),
        ("http:///evil.example", "/dashboard/"),
        ("\\\\evil.example", "/dashboard/"),
    ],
)
def test_redirect_after_sign_in_stays_on_the_site(client: Client, alice: User, target: str, where: str) -> None:
    assert client.post("/sign-in/", CREDENTIALS | {"next": target})["Location"] == where


def test_wrong_and_unknown_and_closed_read_the_same(client: Client, alice: User, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    tries = [
        {"username": alice.email, "password": "wrong"},
        {"username": "nobody@example.com", "password": PASSWORD},
        {"username": bob.email, "password": PASSWORD},
    ]

    answers = [errors(client.post("/sign-in/", body)) for body in tries]

    assert answers == [{"__all__": ["That email and password don't match. Try again."]}] * 3


def test_a_sixth_try_is_asked_to_wait_before_anything_is_looked_up(
    client: Client, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    assert guesses(client, 5) == [200] * 5

    with django_assert_num_queries(0):
        answer = client.post("/sign-in/", CREDENTIALS)

    assert answer.status_code == 429
    assert re.fullmatch(r"Too many attempts\. Please wait \d+ seconds?, then try again\.", errors(answer)["__all__"][0])


def test_the_console_counts_with_the_page(client: Client, ada: User) -> None:
    guesses(client, 5)

    answer = client.post("/admin/login/", {"username": ada.email, "password": PASSWORD})

    assert answer.status_code == 200
    assert "Too many attempts." in errors(answer)["__all__"][0]
    assert "_auth_user_id" not in client.session


def test_the_console_lets_an_admin_in_and_no_user(client: Client, ada: User, alice: User) -> None:
    assert client.post("/admin/login/", CREDENTIALS).status_code == 200
    assert client.post("/admin/login/", {"username": ada.email, "password": PASSWORD}).status_code == 302
    assert client.session["_auth_user_id"] == str(ada.pk)


def test_signing_out_is_a_post_and_ends_the_session(client: Client, alice: User) -> None:
    client.force_login(alice)
    key = client.session.session_key or ""

    assert client.get("/sign-out/").status_code == 405
    assert client.session.exists(key)
    assert client.post("/sign-out/")["Location"] == "/"
    assert not client.session.exists(key)


def test_signed_in_user_is_redirected_from_sign_in(client: Client, alice: User) -> None:
    client.force_login(alice)

    assert client.get("/sign-in/")["Location"] == "/dashboard/"


@pytest.mark.parametrize("name", ["register", "sign_in", "sign_out", "password", "email", "sign_out_elsewhere"])
def test_a_form_from_elsewhere_is_refused(alice: User, name: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)

    assert strict.post(reverse(name), CREDENTIALS).status_code == 403


# --- Password ----------------------------------------------------------------------------------------------------------


def test_changing_the_password_keeps_this_session_and_ends_the_rest(client: Client, alice: User) -> None:
    client.force_login(alice)
    elsewhere = Client()
    elsewhere.force_login(alice)
    pair = tokens.issue_pair(alice)

    answer = client.post("/password/", {"current_password": PASSWORD, "new_password": NEW})

    assert answer["Location"] == "/account/"
    assert client.get("/password/").status_code == 200
    assert elsewhere.get("/password/")["Location"] == "/sign-in/?next=/password/"
    with pytest.raises(tokens.TokenNotValid):
        tokens.refresh_tokens(pair.refresh)
    alice.refresh_from_db()
    assert alice.check_password(NEW)


@pytest.mark.parametrize(
    ("change", "field"), [({"current_password": "wrong"}, "current_password"), ({"new_password": "short"}, "new_password")]
)
def test_a_refused_password_stands_beside_its_field(client: Client, alice: User, change: dict[str, str], field: str) -> None:
    client.force_login(alice)

    answer = client.post("/password/", {"current_password": PASSWORD, "new_password": NEW} | change)

    assert list(errors(answer)) == [field]
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_signing_out_elsewhere_ends_the_rest_and_keeps_the_password(client: Client, alice: User) -> None:
    client.force_login(alice)
    elsewhere = Client()
    elsewhere.force_login(alice)
    pair = tokens.issue_pair(alice)

    answer = client.post("/account/sign-out-elsewhere/", {"current_password": PASSWORD})

    assert answer["Location"] == "/account/"
    assert client.get("/account/").status_code == 200
    assert elsewhere.get("/account/")["Location"] == "/sign-in/?next=/account/"
    with pytest.raises(tokens.TokenNotValid):
        tokens.refresh_tokens(pair.refresh)
    assert alice.token_families.get().revoked_reason == "LOGOUT"
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_signing_out_everywhere_requires_the_password(client: Client, alice: User) -> None:
    client.force_login(alice)
    elsewhere = Client()
    elsewhere.force_login(alice)

    answer = client.post("/account/sign-out-elsewhere/", {"current_password": "wrong"})

    assert errors(answer) == {"current_password": ["That's not your current password."]}
    assert elsewhere.get("/account/").status_code == 200


def test_guesses_at_the_present_password_are_counted(client: Client, alice: User) -> None:
    client.force_login(alice)

    answers = [client.post("/account/sign-out-elsewhere/", {"current_password": "wrong"}) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert "data-wait=" in answers[-1].content.decode()


def test_account_page_shows_the_user_and_available_changes(client: Client, alice: User) -> None:
    client.force_login(alice)

    page = client.get("/account/").content.decode()

    for text in (alice.email, "/account/email/", "/password/", "/account/sign-out-elsewhere/", "/sign-out/"):
        assert text in page


def test_the_rules_of_a_password_are_said_before_it_is_typed(client: Client, db: None) -> None:
    page = client.get("/register/").content.decode()

    for rule in ("At least 10 characters", "Not just numbers", "Not a common password", "Not similar to your email"):
        assert f"<li>{rule}</li>" in page
    assert 'aria-describedby="id_password_helptext"' in page


def test_the_password_page_asks_to_sign_in_first(client: Client, db: None) -> None:
    assert client.get("/password/")["Location"] == "/sign-in/?next=/password/"
