"""POST auth/token/refresh/"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from pytest_django import DjangoAssertNumQueries
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import tokens
from accounts.models import TokenFamily, User
from accounts.tokens import TokenNotValid, TokenPair, TokenReused
from tests.accounts.conftest import Send
from tests.concurrency import at_once


def test_a_refresh_token_is_exchanged_for_a_new_pair(
    post: Send, me: Callable[[str], Any], pair: TokenPair, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(4):  # savepoint, lock, update, release
        answer = post("token/refresh/", {"refresh": pair.refresh})

    assert answer.status_code == 200
    assert answer.json()["refresh"] != pair.refresh
    assert me(answer.json()["access"]).status_code == 200
    assert TokenFamily.objects.count() == 1


def test_the_chain_goes_on(pair: TokenPair) -> None:
    for _ in range(3):
        pair = tokens.refresh_tokens(pair.refresh)

    assert TokenFamily.objects.get().revoked_at is None


def test_replay_revokes_the_family(post: Send, me: Callable[[str], Any], pair: TokenPair) -> None:
    successor = tokens.refresh_tokens(pair.refresh)

    replay = post("token/refresh/", {"refresh": pair.refresh})

    assert (replay.status_code, replay.json()["code"]) == (401, "token_reused")
    assert TokenFamily.objects.get().revoked_reason == "REPLAY"
    assert me(successor.access).status_code == me(pair.access).status_code == 401
    after = post("token/refresh/", {"refresh": successor.refresh})
    assert (after.status_code, after.json()["code"]) == (401, "token_not_valid")


def test_replay_does_not_affect_other_families(me: Callable[[str], Any], alice: User, pair: TokenPair) -> None:
    other = tokens.issue_pair(alice)
    tokens.refresh_tokens(pair.refresh)

    with pytest.raises(TokenReused):
        tokens.refresh_tokens(pair.refresh)

    assert me(other.access).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_one_of_twelve_parallel_refreshes_succeeds_and_the_family_is_revoked() -> None:
    alice = User.objects.create_user("alice@example.com")
    for _ in range(20):
        pair = tokens.issue_pair(alice)

        outcomes = at_once(tokens.refresh_tokens, [pair.refresh] * 12)

        assert sum(isinstance(outcome, TokenPair) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, TokenReused) for outcome in outcomes) == 11
    assert TokenFamily.objects.filter(revoked_reason="REPLAY").count() == 20


def closed(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def changed_password(user: User) -> None:
    user.set_password("another horse battery")
    user.save()


def deleted_family(user: User) -> None:
    TokenFamily.objects.all().delete()


@pytest.mark.parametrize("event", [closed, changed_password, deleted_family])
def test_what_ends_access_ends_refresh(alice: User, pair: TokenPair, event: Callable[[User], None]) -> None:
    event(alice)

    with pytest.raises(TokenNotValid):
        tokens.refresh_tokens(pair.refresh)


def test_an_access_token_is_no_refresh_token(pair: TokenPair) -> None:
    with pytest.raises(TokenNotValid):
        tokens.refresh_tokens(pair.access)


def test_a_refresh_token_of_no_family_is_refused(alice: User) -> None:
    with pytest.raises(TokenNotValid):
        tokens.refresh_tokens(str(RefreshToken.for_user(alice)))


@pytest.mark.parametrize("raw", ["", "x", "a.b.c", "é.ü.ß", "." * 2000, f"{'W1tb' * 500}.e30.x"])
def test_rubbish_is_refused(db: None, raw: str) -> None:
    with pytest.raises(TokenNotValid):
        tokens.refresh_tokens(raw)


def test_an_expired_refresh_token_is_refused(alice: User) -> None:
    family = TokenFamily(user=alice, auth_hash=alice.get_session_auth_hash())
    token = tokens.issue_refresh_token(family)
    token.set_exp(lifetime=-timedelta(seconds=1))
    family.save(force_insert=True)

    with pytest.raises(TokenNotValid):
        tokens.refresh_tokens(str(token))


def test_expired_families_are_deleted(alice: User, pair: TokenPair) -> None:
    tokens.issue_pair(alice)
    TokenFamily.objects.filter(pk=TokenFamily.objects.first().pk).update(expires_at=Now() - timedelta(seconds=1))  # type: ignore[union-attr]

    assert tokens.delete_expired_families() == 1
    assert TokenFamily.objects.count() == 1
