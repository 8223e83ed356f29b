"""The history of claims."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger.models import Entry

MY_CLAIMS = reverse("my_claims")
Issue = Callable[..., CashbackAsset]


@pytest.mark.django_db
def test_anonymous_request_redirects_to_sign_in(client: Client) -> None:
    assert client.get(MY_CLAIMS)["Location"] == f"{reverse('sign_in')}?next={MY_CLAIMS}"


def test_empty_history_links_to_the_offers(alice_client: Client) -> None:
    page = alice_client.get(MY_CLAIMS).content.decode()

    assert "No claims yet" in page
    assert reverse("offers") in page


def test_history_lists_only_own_claims_newest_first(alice_client: Client, alice: User, bob: User, issue: Issue) -> None:
    for title in ("first", "second"):
        claim_asset(issue(title=title, total_value=Decimal("2.50")).pk, alice)
    claim_asset(issue(title="bobs").pk, bob)

    answer = alice_client.get(MY_CLAIMS)

    assert [line.title for line in answer.context["page"].items] == ["second", "first"]
    page = answer.content.decode()
    assert str(Entry.objects.filter(user=alice)[0].pk) in page
    assert "+₹2.50" in page
    assert "bobs" not in page


def test_history_of_an_operator_lists_only_own_claims(client: Client, ada: User, alice: User, issue: Issue) -> None:
    claim_asset(issue(title="hers").pk, alice)
    client.force_login(ada)

    assert "hers" not in client.get(MY_CLAIMS).content.decode()


def test_history_page_takes_one_query_for_its_claims(
    alice_client: Client, alice: User, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(45):
        claim_asset(issue().pk, alice)

    # session, user; the history; and the transaction of an expensive read with its time limit
    with django_assert_num_queries(2 + 1 + 3):
        page = alice_client.get(MY_CLAIMS, {"page": "3"}).context["page"]

    assert (len(page.items), page.previous, page.next) == (5, 2, None)


@pytest.mark.parametrize(
    ("asked", "titles"),
    [
        ({"q": "TEA"}, ["green tea"]),
        ({"q": "%"}, []),
        ({"show": "claims"}, ["coffee", "green tea"]),
        ({"show": "refunds"}, []),
        ({"since": "2000-01-01"}, ["coffee", "green tea"]),
        ({"since": "2999-01-01"}, []),
        ({"until": "2000-01-01"}, []),
        ({"until": "2999-01-01", "q": "coff"}, ["coffee"]),
        ({"since": "yesterday"}, []),
    ],
)
def test_history_is_filtered_by_title_and_dates(
    alice_client: Client, alice: User, issue: Issue, asked: dict[str, str], titles: list[str]
) -> None:
    for title in ("green tea", "coffee"):
        claim_asset(issue(title=title).pk, alice)

    assert [line.title for line in alice_client.get(MY_CLAIMS, asked).context["page"].items] == titles


def test_a_last_day_before_the_first_is_refused_beside_its_field(alice_client: Client) -> None:
    answer = alice_client.get(MY_CLAIMS, {"since": "2026-03-02", "until": "2026-03-01"})

    assert answer.status_code == 400
    assert "This is before the first day." in answer.content.decode()


def test_history_without_matches_says_so(alice_client: Client, alice: User, issue: Issue) -> None:
    claim_asset(issue().pk, alice)

    assert "Nothing found" in alice_client.get(MY_CLAIMS, {"q": "rum"}).content.decode()
