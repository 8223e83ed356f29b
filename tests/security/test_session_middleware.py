"""API requests with a token ignore the session; other requests ignore the token."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from accounts.tokens import issue_pair
from cashback.http import session_middleware

ME = "/api/v1/auth/me/"


@pytest.fixture
def alices(client: Client, alice: User) -> Client:
    """Alice's browser, signed in."""
    client.force_login(alice)
    return client


def bearer(user: User) -> dict[str, Any]:
    return {"HTTP_AUTHORIZATION": f"Bearer {issue_pair(user).access}"}


def test_a_token_counts_and_not_the_session_beside_it(alices: Client, bob: User) -> None:
    assert alices.get(ME, **bearer(bob)).json()["email"] == bob.email


@pytest.mark.parametrize("header", ["Bearer ", "Bearer nonsense", "Bearer one two", "Bearer " + "x" * 5000])
def test_bad_token_is_refused_despite_a_session(alices: Client, header: str) -> None:
    answer = alices.get(ME, HTTP_AUTHORIZATION=header)

    assert (answer.status_code, answer.json()["code"]) == (401, "token_not_valid")


@pytest.mark.parametrize("header", ["Basic YTpi", "bearer nonsense", "Bearer"])
def test_other_authorization_headers_leave_the_session_in_force(alices: Client, header: str) -> None:
    assert alices.get(ME, HTTP_AUTHORIZATION=header).status_code in (200, 401)
    assert alices.post(ME, HTTP_AUTHORIZATION=header).status_code in (401, 405)


@pytest.mark.parametrize("page", ["dashboard", "my_claims", "offers"])
def test_a_page_knows_its_visitor_whatever_token_comes_along(alices: Client, bob: User, page: str) -> None:
    assert alices.get(reverse(page), **bearer(bob)).status_code == 200
    alices.logout()
    assert alices.get(reverse("dashboard"), **bearer(bob)).status_code == 302


def test_a_session_is_not_even_looked_up_beside_a_token(
    alices: Client, bob: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    headers = bearer(bob)
    with django_assert_num_queries(1):
        answer = alices.get(ME, **headers)

    assert not answer.cookies
    assert "Cookie" not in answer.headers.get("Vary", "")


@pytest.mark.parametrize("path", ["docs/", "schema/", "nothing/", "pools/?format=api", "assets/?format=api"])
@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
def test_every_address_of_the_api_answers_a_token(client: Client, bob: User, path: str, accept: str) -> None:
    answer = client.get(f"/api/v1/{path}", HTTP_ACCEPT=accept, **bearer(bob))

    assert answer.status_code in (200, 404)


def test_four_middlewares_are_for_visitors_only(settings: Any) -> None:
    ours = [name.rpartition(".")[2] for name in settings.MIDDLEWARE if name.startswith(session_middleware.__name__)]

    assert ours == [
        "SessionMiddleware",
        "AuthenticationMiddleware",
        "MessageMiddleware",
        "HtmxMiddleware",
    ]
