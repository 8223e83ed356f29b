"""The receipt of a claim."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.pages.conftest import told
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger.models import Entry
from wallet.queries.inclusion_proof import inclusion_proof

Issue = Callable[..., CashbackAsset]


@pytest.fixture
def entry(alice: User, open_pool: Callable[..., CreditPool], issue: Issue) -> Entry:
    """Alice's claim of 100 rupees."""
    claim_asset(issue(pool=open_pool()).pk, alice)
    return Entry.objects.get()


def address(entry: Entry, name: str = "receipt") -> str:
    return reverse(name, args=[entry.pk])


def test_a_receipt_says_what_when_whose_and_which_entry(alices: Client, entry: Entry) -> None:
    page = alices.get(address(entry)).content.decode()

    for text in ("Welcome bonus", "₹100.00", "Diwali", "alice@example.com", str(entry.pk), str(entry.asset_id)):
        assert text in page
    assert f'datetime="{entry.claimed_at:%Y-%m-%dT%H:%M:%SZ}"' in page


@pytest.mark.parametrize("name", ["receipt", "proof"])
def test_anothers_receipt_is_not_found(bobs: Client, entry: Entry, name: str) -> None:
    assert bobs.get(address(entry, name)).status_code == 404
    assert bobs.get(reverse(name, args=[uuid4()])).status_code == 404


@pytest.mark.parametrize("name", ["receipt", "proof"])
def test_a_stranger_is_sent_to_sign_in(client: Client, entry: Entry, name: str) -> None:
    assert client.get(address(entry, name))["Location"] == f"{reverse('sign_in')}?next={address(entry, name)}"


def test_a_fresh_claim_is_not_sealed_yet_and_asks_again_by_itself(alices: Client, entry: Entry) -> None:
    page = alices.get(address(entry)).content.decode()
    answer = alices.get(address(entry, "proof"))

    assert "Not sealed yet" in page
    assert 'hx-trigger="every 5s"' in page
    assert answer["Location"] == address(entry)
    assert told(answer) == ["This claim is not sealed yet. Its proof will be here within a minute."]


@pytest.mark.django_db(transaction=True)
def test_a_sealed_claim_names_its_seal_and_hands_out_its_proof(alices: Client, entry: Entry) -> None:
    seal_ledger.seal_all()

    page = alices.get(address(entry)).content.decode()
    part = alices.get(address(entry), headers={"HX-Request": "true"}).content.decode()
    answer = alices.get(address(entry, "proof"))

    assert "Sealed, number 1" in page
    assert "Sealed, number 1" in part
    assert "<html" not in part
    assert "every 5s" not in part
    assert answer["Content-Disposition"] == f'attachment; filename="claim-{entry.pk}.json"'
    assert answer.json() == inclusion_proof(entry)


def test_a_receipt_takes_four_queries(alices: Client, entry: Entry, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(2 + 2):  # session, user; entry, seal
        alices.get(address(entry))
