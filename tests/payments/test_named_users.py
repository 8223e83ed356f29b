"""The parameter and the field `user` name a user by id or email alike, wherever they are."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from accounts.models import User
from accounts.service_keys import NewKey
from tests.api.conftest import ROOT, Caller
from tests.payments.conftest import held, post, problem, with_key
from wallet.assets.models import CreditPool
from wallet.ledger.models import Lot

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY = ("nobody@example.com", "nobody", str(uuid4()))
OF_OPERATORS, OF_SERVICES = ("claims/", "payments/"), ("payments/", "wallet/", "wallet/lots/")


@pytest.fixture
def lot(credit: Callable[..., Lot]) -> Lot:
    """A credit of alice's."""
    return credit("100")


def test_nobody_is_404_for_operators_and_services_in_every_list(
    as_ada: Caller, as_shop: Caller, lot: Lot, open_pool: Callable[..., CreditPool]
) -> None:
    explained = f"pools/{open_pool().pk}/explain/"
    for caller, paths in ((as_ada, (*OF_OPERATORS, explained)), (as_shop, OF_SERVICES)):
        for path in paths:
            for name in NOBODY:
                assert problem(caller.get(f"{ROOT}/{path}", {"user": name})) == (404, "not_found"), (path, name)


@pytest.mark.usefixtures("lot")
def test_a_user_is_named_by_id_or_email_in_every_list(
    as_ada: Caller, as_shop: Caller, as_alice: Caller, alice: User, bob: User
) -> None:
    held(as_shop, "10.00")
    for caller, paths in ((as_ada, OF_OPERATORS), (as_shop, OF_SERVICES), (as_alice, {*OF_OPERATORS, *OF_SERVICES})):
        for path in paths:
            by_id, by_email = (
                caller.get(f"{ROOT}/{path}", {"user": name}) for name in (str(alice.pk).upper(), "Alice@Example.com")
            )
            assert (by_id.status_code, by_id.json()) == (200, by_email.json()), path
            assert by_id.json().get("results") != [], path
    for caller, path in ((as_ada, "claims/"), (as_ada, "payments/"), (as_shop, "payments/"), (as_shop, "wallet/lots/")):
        assert caller.get(f"{ROOT}/{path}", {"user": bob.email}).json()["results"] == []


def test_a_user_cannot_find_out_who_exists(as_alice: Caller, bob: User, lot: Lot, open_pool: Callable[..., CreditPool]) -> None:
    for path in (*OF_OPERATORS, *OF_SERVICES, f"pools/{open_pool().pk}/explain/"):
        answers = [as_alice.get(f"{ROOT}/{path}", {"user": name}) for name in (str(bob.pk), bob.email, *NOBODY)]
        for answer in answers:
            assert problem(answer) == (400, "invalid"), path
            assert answer.json()["errors"] == answers[0].json()["errors"]


def test_a_key_without_the_scope_cannot_find_out_who_exists(new_key: Callable[..., NewKey], bob: User) -> None:
    caller = with_key(new_key("events:read").text)
    for path in OF_SERVICES:
        for name in (bob.email, *NOBODY):
            assert problem(caller.get(f"{ROOT}/{path}", {"user": name})) == (403, "scope_missing")


def test_a_body_names_its_user_by_the_same_rule(as_shop: Caller, as_alice: Caller, alice: User, lot: Lot) -> None:
    asked = {"currency": "INR", "amount": "40.00"}
    for name in (str(alice.pk), "Alice@Example.com"):
        assert post(as_shop, "payments/quote/", asked | {"user": name}).json()["covered"] == "40.00"
        assert post(as_alice, "payments/quote/", asked | {"user": name}).status_code == 200
    for name in NOBODY:
        assert problem(post(as_shop, "payments/quote/", asked | {"user": name})) == (404, "not_found")
        assert problem(post(as_alice, "payments/quote/", asked | {"user": name})) == (400, "invalid")
