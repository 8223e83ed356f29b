"""POST auth/logout/"""

from collections.abc import Callable
from typing import Any

from pytest_django import DjangoAssertNumQueries

from accounts import tokens
from accounts.models import TokenFamily, User
from accounts.tokens import TokenPair
from tests.accounts.conftest import Send


def test_signing_out_ends_the_family_at_once(
    post: Send, me: Callable[[str], Any], pair: TokenPair, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):  # who, end
        answer = post("logout/", {"refresh": pair.refresh}, pair.access)

    assert (answer.status_code, answer.content) == (204, b"")
    assert me(pair.access).status_code == 401
    assert post("token/refresh/", {"refresh": pair.refresh}).status_code == 401
    assert TokenFamily.objects.get().revoked_reason == "LOGOUT"


def test_a_token_used_before_still_ends_its_family(post: Send, me: Callable[[str], Any], pair: TokenPair) -> None:
    successor = tokens.refresh_tokens(pair.refresh)

    assert post("logout/", {"refresh": pair.refresh}, successor.access).status_code == 204
    assert me(successor.access).status_code == 401


def test_user_cannot_sign_out_another_user(post: Send, me: Callable[[str], Any], pair: TokenPair, bob: User) -> None:
    bobs = tokens.issue_pair(bob)

    answer = post("logout/", {"refresh": bobs.refresh}, pair.access)

    assert (answer.status_code, answer.json()["code"]) == (401, "token_not_valid")
    assert me(bobs.access).status_code == 200
    assert TokenFamily.objects.filter(revoked_at__isnull=False).count() == 0


def test_an_anonymous_caller_is_asked_to_sign_in(post: Send, pair: TokenPair) -> None:
    answer = post("logout/", {"refresh": pair.refresh})

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert TokenFamily.objects.get().revoked_at is None
