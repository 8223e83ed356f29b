"""Session keys are stored as digests only."""

import hashlib
from datetime import timedelta

from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from accounts.sessions import SessionStore
from tests.conftest import PASSWORD


def signed_in(client: Client, user: User) -> str:
    """Sign in by the form and return the cookie."""
    client.post("/sign-in/", {"username": user.email, "password": PASSWORD})
    return client.cookies["sessionid"].value


def test_no_table_contains_a_session_cookie(client: Client, alice: User) -> None:
    cookie = signed_in(client, alice)

    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(s::text, ' ') FROM django_session s")
        (everything,) = cursor.fetchone()
    assert client.get("/password/").status_code == 200
    assert cookie not in everything
    assert Session.objects.get().session_key == hashlib.sha256(cookie.encode()).hexdigest()[:40]


def test_stored_session_key_does_not_authenticate(client: Client, alice: User) -> None:
    signed_in(client, alice)
    thief = Client()
    thief.cookies["sessionid"] = Session.objects.get().session_key

    assert thief.get("/password/").status_code == 302
    assert thief.get("/api/v1/auth/me/").status_code == 401


def test_signing_out_deletes_the_row(client: Client, alice: User) -> None:
    cookie = signed_in(client, alice)

    client.post("/sign-out/")

    assert Session.objects.count() == 0
    thief = Client()
    thief.cookies["sessionid"] = cookie
    assert thief.get("/password/").status_code == 302


def test_a_key_that_a_visitor_made_up_never_becomes_a_session(client: Client, alice: User) -> None:
    client.cookies["sessionid"] = "a" * 32

    cookie = signed_in(client, alice)

    assert cookie != "a" * 32
    assert not SessionStore().exists("a" * 32)
    assert Session.objects.count() == 1


def test_expired_session_does_not_authenticate(client: Client, alice: User) -> None:
    signed_in(client, alice)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

    assert client.get("/password/").status_code == 302


def test_deleting_a_missing_session_is_no_error(db: None) -> None:
    SessionStore().delete()
    SessionStore().delete("a" * 32)

    assert Session.objects.count() == 0


def test_request_reads_its_session_once(client: Client, alice: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    signed_in(client, alice)

    with django_assert_num_queries(2):  # session, user
        client.get("/password/")
