"""Authentication of concurrent requests by access token."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import time_machine
from django.conf import settings
from django.test import Client

from accounts.authentication import find_live_families, verify_access_token
from accounts.models import Revoked, TokenFamily, User
from accounts.tokens import issue_pair

ACCESS_TOKEN_LIFETIME: timedelta = settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"]  # type: ignore[assignment]

pytestmark = pytest.mark.django_db


def family_of(user: User) -> TokenFamily:
    issue_pair(user)
    return TokenFamily.objects.filter(user=user).latest("created_at")


def test_families_are_returned_with_their_users_or_none(alice: User, bob: User) -> None:
    one, other = family_of(alice), family_of(bob)

    found = find_live_families([other.pk, uuid4(), one.pk])

    assert [family and family.user.email for family in found] == [bob.email, None, alice.email]


def test_a_revoked_family_is_not_found(alice: User) -> None:
    family = family_of(alice)
    TokenFamily.objects.filter(pk=family.pk).revoke(Revoked.LOGOUT)

    assert find_live_families([family.pk]) == [None]


def test_a_family_is_valid_for_its_own_user_only(alice: User, bob: User) -> None:
    families = family_of(alice), family_of(bob)

    valid = [[family.is_valid_for(user.pk) for user in (alice, bob)] for family in families]

    assert valid == [[True, False], [False, True]]


def test_two_requests_with_one_token_share_no_object(alice: User) -> None:
    family = family_of(alice)

    one, other = find_live_families([family.pk, family.pk])

    assert one is not None
    assert other is not None
    assert one.user is not other.user


def test_a_token_that_was_verified_before_is_refused_once_it_has_expired(client: Client, alice: User) -> None:
    access = issue_pair(alice).access

    def status() -> int:
        return client.get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {access}"}).status_code

    before, remembered = status(), verify_access_token.cache_info().hits
    with time_machine.travel(datetime.now(UTC) + ACCESS_TOKEN_LIFETIME + timedelta(seconds=1)):
        after = status()

    assert (before, after) == (200, 401)
    assert verify_access_token.cache_info().hits == remembered + 1
