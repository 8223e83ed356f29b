"""The receipt of a claim."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.pages.conftest import message_texts
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


def test_receipt_shows_title_amount_pool_owner_and_ids(alice_client: Client, entry: Entry) -> None:
    page = alice_client.get(address(entry)).content.decode()

    for text in ("Welcome bonus", "₹100.00", "Diwali", "alice@example.com", str(entry.pk), str(entry.asset_id)):
        assert text in page
    assert f'datetime="{entry.claimed_at:%Y-%m-%dT%H:%M:%SZ}"' in page


def test_receipt_has_a_short_reference_to_copy_and_a_button_to_print(alice_client: Client, entry: Entry) -> None:
    page = alice_client.get(address(entry)).content.decode()

    digits = entry.pk.hex[-12:].upper()
    shown = f"{digits[:4]}-{digits[4:8]}-{digits[8:]}"
    assert f"<span>{shown}</span>" in page
    assert f'hidden data-copy="{shown}"' in page
    assert "hidden data-print" in page


@pytest.mark.django_db(transaction=True)
def test_sealed_receipt_explains_its_verification_and_links_keys_and_verifier(alice_client: Client, entry: Entry) -> None:
    seal_ledger.seal_all()

    page = alice_client.get(address(entry)).content.decode()

    assert "How is this verified?" in page
    for name in ("verify", "verifier"):
        assert f'href="{reverse(name)}"' in page


@pytest.mark.parametrize("name", ["receipt", "proof"])
def test_receipt_of_another_user_is_not_found(bob_client: Client, entry: Entry, name: str) -> None:
    assert bob_client.get(address(entry, name)).status_code == 404
    assert bob_client.get(reverse(name, args=[uuid4()])).status_code == 404


@pytest.mark.parametrize("name", ["receipt", "proof"])
def test_anonymous_request_redirects_to_sign_in(client: Client, entry: Entry, name: str) -> None:
    assert client.get(address(entry, name))["Location"] == f"{reverse('sign_in')}?next={address(entry, name)}"


def test_receipt_of_an_unsealed_claim_polls_for_its_seal(alice_client: Client, entry: Entry) -> None:
    page = alice_client.get(address(entry)).content.decode()
    answer = alice_client.get(address(entry, "proof"))

    assert "Verification in progress" in page
    assert 'hx-trigger="every 5s"' in page
    assert answer["Location"] == address(entry)
    assert message_texts(answer) == ["This claim is still being verified. Its proof will be available within a minute."]


@pytest.mark.django_db(transaction=True)
def test_receipt_of_a_sealed_claim_shows_its_seal_and_downloads_its_proof(alice_client: Client, entry: Entry) -> None:
    seal_ledger.seal_all()

    page = alice_client.get(address(entry)).content.decode()
    part = alice_client.get(address(entry), headers={"HX-Request": "true"}).content.decode()
    answer = alice_client.get(address(entry, "proof"))

    assert "Verified · seal #1" in page
    assert "Verified · seal #1" in part
    assert "<html" not in part
    assert "every 5s" not in part
    assert answer["Content-Disposition"] == f'attachment; filename="claim-{entry.pk}.json"'
    assert answer.json() == inclusion_proof(entry)


def test_a_receipt_takes_four_queries(
    alice_client: Client, entry: Entry, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2 + 2):  # session, user; entry, seal
        alice_client.get(address(entry))
