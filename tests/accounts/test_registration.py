"""POST auth/register/"""

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts import registration
from accounts.models import User
from accounts.registration import EmailTaken
from tests.accounts.conftest import Send
from tests.concurrency import at_once
from tests.conftest import PASSWORD

NEWCOMER = {"email": "carol@example.com", "password": PASSWORD}


def test_a_newcomer_becomes_a_user(post: Send, db: None, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(4):  # savepoint, insert, task of the email, release
        answer = post("register/", NEWCOMER)

    carol = User.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {"id": str(carol.pk), "email": "carol@example.com", "role": "USER"}
    assert carol.check_password(PASSWORD)
    assert (carol.is_active, carol.is_superuser, carol.is_staff) == (True, False, False)


def test_the_email_is_stored_in_lower_case(post: Send, db: None) -> None:
    assert post("register/", NEWCOMER | {"email": "Carol@Example.COM"}).json()["email"] == "carol@example.com"


@pytest.mark.parametrize("email", ["alice@example.com", "ALICE@example.com"])
def test_a_known_email_is_refused(post: Send, alice: User, email: str) -> None:
    answer = post("register/", NEWCOMER | {"email": email})

    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"email": "carol"}, "email", "invalid"),
        ({"email": f"{'c' * 250}@example.com"}, "email", "max_length"),
        ({"password": "short"}, "password", "password_too_short"),
        ({"password": "password123"}, "password", "password_too_common"),
        ({"password": "73519028465"}, "password", "password_entirely_numeric"),
        ({"password": "carol@example.com"}, "password", "password_too_similar"),
        ({"password": "x" * 129}, "password", "max_length"),
        ({"role": "ADMIN"}, "role", "unknown"),
        ({"is_superuser": True}, "is_superuser", "unknown"),
    ],
)
def test_invalid_field_is_named_and_no_user_is_created(
    post: Send, db: None, change: dict[str, str], field: str, code: str
) -> None:
    answer = post("register/", NEWCOMER | change)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert (field, code) in {(error["field"], error["code"]) for error in answer.json()["errors"]}
    assert User.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_one_of_eight_concurrent_registrations_with_one_email_succeeds() -> None:
    outcomes = at_once(lambda _: registration.register_user("carol@example.com", PASSWORD), range(8))

    assert sum(isinstance(outcome, User) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, EmailTaken) for outcome in outcomes) == 7
    assert User.objects.count() == 1


def test_an_eleventh_registration_from_one_address_is_refused(post: Send, db: None) -> None:
    tries = [post("register/", NEWCOMER | {"email": f"carol{n}@example.com"}).status_code for n in range(10)]
    eleventh = post("register/", NEWCOMER)

    assert tries == [201] * 10
    assert (eleventh.status_code, eleventh.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(eleventh["Retry-After"]) <= 3600
    assert User.objects.count() == 10
