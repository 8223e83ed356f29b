"""GET auth/me/, and the validity of access tokens."""

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import Role, TokenFamily, User
from accounts.tokens import TokenPair
from tests.conftest import PASSWORD

Me = Callable[[str], Any]


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def signed(payload: dict[str, Any], key: str = settings.JWT_SIGNING_KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(payload, key, algorithm)


def unsigned(payload: dict[str, Any], header: dict[str, Any]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload)]
    return ".".join([*parts, ""])


def test_me_needs_one_query(me: Me, alice: User, pair: TokenPair, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        answer = me(pair.access)

    created = alice.created_at.isoformat().replace("+00:00", "Z")
    assert answer.status_code == 200
    assert answer.json() == {
        "id": str(alice.pk),
        "email": "alice@example.com",
        "email_verified_at": None,
        "role": "USER",
        "created_at": created,
    }


def test_the_role_is_the_databases_and_no_token_holds_one(me: Me, alice: User, pair: TokenPair) -> None:
    User.objects.filter(pk=alice.pk).update(role=Role.ADMIN)

    assert me(pair.access).json()["role"] == "ADMIN"
    assert set(claims(pair.access)) == {"sub", "fam", "exp", "iat", "jti", "iss", "aud", "token_type"}


def forged(access: str) -> dict[str, str]:
    """The classic attacks on a JWT, by name."""
    payload = claims(access)
    head, _, signature = access.split(".")
    swapped = unsigned(payload | {"sub": "0190a0f0-0000-7000-8000-000000000000"}, {"alg": "HS256"}).split(".")[1]
    return {
        "alg none": unsigned(payload, {"alg": "none", "typ": "JWT"}),
        "alg NonE": unsigned(payload, {"alg": "NonE", "typ": "JWT"}),
        "alg a list": unsigned(payload, {"alg": ["HS256"]}),
        "no alg": unsigned(payload, {}),
        "another HMAC": signed(payload, algorithm="HS512"),
        "another key": signed(payload, key="k" * 64),
        "Django's key": signed(payload, key=settings.SECRET_KEY),
        "swapped payload": f"{head}.{swapped}.{signature}",
        "no signature": f"{head}.{access.split('.')[1]}.",
        "wrong issuer": signed(payload | {"iss": "somebody"}),
        "wrong audience": signed(payload | {"aud": "another-api"}),
        "no issuer": signed({name: payload[name] for name in payload if name != "iss"}),
        "no audience": signed({name: payload[name] for name in payload if name != "aud"}),
        "no end": signed({name: payload[name] for name in payload if name != "exp"}),
        "ended": signed(payload | {"exp": 1}),
        "no family": signed({name: payload[name] for name in payload if name != "fam"}),
        "another's family": signed(payload | {"sub": "0190a0f0-0000-7000-8000-000000000000"}),
        "no person": signed({name: payload[name] for name in payload if name != "sub"}),
        "a deep header": base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.x",
        "not a token": "hello",
        "two words": "hello world",
    }


ATTACKS = list(forged(signed({"sub": "x", "exp": 1, "iss": "x", "aud": "x", "fam": "x"})))


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_forged_token_is_refused(me: Me, pair: TokenPair, attack: str) -> None:
    answer = me(forged(pair.access)[attack])

    assert (answer.status_code, answer.json()["code"]) == (401, "token_not_valid")


def test_a_token_signed_as_ours_is_let_in_so_that_the_forgeries_mean_something(me: Me, pair: TokenPair) -> None:
    assert me(signed(claims(pair.access))).status_code == 200


def test_a_refresh_token_gives_no_access(me: Me, pair: TokenPair) -> None:
    answer = me(pair.refresh)

    assert (answer.status_code, answer.json()["code"]) == (401, "token_not_valid")
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!"}])
def test_changes_of_a_user_take_effect_at_the_next_request(
    me: Me, alice: User, pair: TokenPair, change: dict[str, Any]
) -> None:
    User.objects.filter(pk=alice.pk).update(**change)

    assert me(pair.access).status_code == 401


def test_expired_family_does_not_authenticate(me: Me, pair: TokenPair) -> None:
    TokenFamily.objects.update(expires_at="2020-01-01T00:00:00Z")

    assert me(pair.access).status_code == 401


def test_without_a_token_one_is_asked_to_sign_in(client: Client, db: None) -> None:
    answer = client.get("/api/v1/auth/me/")

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_the_session_of_the_pages_lets_in_too(client: Client, alice: User) -> None:
    client.force_login(alice)

    assert client.get("/api/v1/auth/me/").json()["email"] == "alice@example.com"
    assert "text/html" in client.get("/api/v1/auth/me/", headers={"Accept": "text/html"})["Content-Type"]


def test_no_table_holds_a_token_or_a_password(pair: TokenPair) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        tables = [name for (name,) in cursor.fetchall()]
        for table in tables:
            cursor.execute(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t")
            (everything,) = cursor.fetchone()
            for secret in (pair.access, pair.refresh, claims(pair.refresh)["jti"], claims(pair.access)["jti"], PASSWORD):
                assert secret not in everything


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "!"}])
def test_changes_of_a_user_end_their_session(client: Client, alice: User, change: dict[str, Any]) -> None:
    client.force_login(alice)
    User.objects.filter(pk=alice.pk).update(**change)

    assert client.get("/api/v1/auth/me/").status_code == 401


def test_an_admin_demoted_is_out_of_the_console_at_once(client: Client, ada: User) -> None:
    client.force_login(ada)
    before = client.get("/admin/").status_code
    User.objects.filter(pk=ada.pk).update(role=Role.USER)

    assert (before, client.get("/admin/").status_code) == (200, 302)


def test_a_post_by_session_needs_the_csrf_token(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)

    answer = strict.post("/api/v1/auth/password/", {}, content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
