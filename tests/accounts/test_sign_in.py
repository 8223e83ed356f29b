"""POST auth/token/"""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from pytest_django import DjangoAssertNumQueries

from accounts.models import TokenFamily, User
from tests.accounts.conftest import Send
from tests.conftest import PASSWORD

REFUSED = {
    "type": "/problems/bad_credentials/",
    "title": "Unauthorized",
    "status": 401,
    "detail": "That email and password don't match. Try again.",
    "code": "bad_credentials",
    "instance": "/api/v1/auth/token/",
}


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed, in order."""
    seen: list[str] = []
    encode = MD5PasswordHasher.encode

    def counted(self: MD5PasswordHasher, password: str, salt: str) -> str:
        seen.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    return seen


def test_email_and_password_buy_a_pair_that_works(post: Send, me: Callable[[str], Any], alice: User) -> None:
    answer = post("token/", {"email": alice.email, "password": PASSWORD})

    assert answer.status_code == 200
    assert set(answer.json()) == {"access", "refresh"}
    assert answer["Cache-Control"] == "no-store"
    assert me(answer.json()["access"]).json()["email"] == alice.email


def test_the_case_of_an_email_does_not_matter(post: Send, alice: User) -> None:
    assert post("token/", {"email": "ALICE@Example.com", "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"email": "alice@example.com", "password": "wrong password"},
        {"email": "nobody@example.com", "password": PASSWORD},
        {"email": "bob@example.com", "password": PASSWORD},
    ],
    ids=["wrong password", "unknown", "closed"],
)
def test_known_unknown_and_closed_accounts_get_the_same_answer_after_the_same_work(
    post: Send, alice: User, bob: User, body: dict[str, str], hashed: list[str]
) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)

    answer = post("token/", body)

    assert answer.status_code == 401
    assert answer.json() == REFUSED | {"request_id": answer["X-Request-ID"]}
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'
    assert hashed == [body["password"]]
    assert TokenFamily.objects.count() == 0


def test_a_password_too_long_to_hash_is_refused_unhashed(post: Send, alice: User, hashed: list[str]) -> None:
    answer = post("token/", {"email": alice.email, "password": "x" * 129})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "password"
    assert hashed == []


def test_signing_in_costs_two_queries(post: Send, alice: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(2):
        post("token/", {"email": alice.email, "password": PASSWORD})


def test_the_sixth_try_for_one_email_is_refused_before_its_password_is_hashed(
    post: Send, alice: User, hashed: list[str], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    tries = [post("token/", {"email": alice.email, "password": "wrong"}) for _ in range(5)]
    with django_assert_num_queries(0):
        sixth = post("token/", {"email": alice.email.upper(), "password": PASSWORD})

    assert [one.status_code for one in tries] == [401] * 5
    assert sixth.status_code == 429
    assert sixth.json()["code"] == "rate_limited"
    assert 1 <= int(sixth["Retry-After"]) <= 60
    assert len(hashed) == 5
