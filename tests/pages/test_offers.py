"""The offers: search, filters, order, pages and pools."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from tests.responses import ClientResponse
from wallet.actions import edit_asset, edit_pool
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.pages import offer_rows
from wallet.pages.offer_rows import COLUMNS, GROUPED, SQL_ORDERS, OfferRows
from wallet.pages.offers import Card, open_pools
from wallet.queries.supply import CURRENCY_REQUIRED

OFFERS = reverse("offers")
OpenPool = Callable[..., CreditPool]
Issue = Callable[..., CashbackAsset]


def titles_of(answer: ClientResponse) -> list[str]:
    """Return the title of the first offer of each card."""
    cards: list[Card] = answer.context["cards"]
    return [card.offers[0].title for card in cards]


@pytest.mark.django_db
def test_anonymous_request_redirects_to_sign_in_with_the_query_in_next(client: Client) -> None:
    answer = client.get(OFFERS, {"q": "tea"})

    assert (answer.status_code, answer["Location"]) == (302, f"{reverse('sign_in')}?next=/offers/%3Fq%3Dtea")


def test_offers_are_sorted_by_expiry_and_leave_out_unavailable_credits(
    alice_client: Client, ada: User, bob: User, issue: Issue
) -> None:
    soon = timezone.now() + timedelta(days=1)
    issue(title="never ends")
    issue(title="ends later", expires_at=soon + timedelta(days=1))
    issue(title="ends soon", expires_at=soon)
    edit_asset.expire_asset(issue(title="ended").pk, ada)
    claim_asset(issue(title="taken").pk, bob)

    shown = titles_of(alice_client.get(OFFERS))

    assert shown == ["ends soon", "ends later", "never ends"]


def test_credits_of_an_inactive_pool_are_hidden(alice_client: Client, ada: User, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    issue(pool=pool, title="secret")
    edit_pool.update_pool(pool.pk, ada, is_active=False)

    assert "secret" not in alice_client.get(OFFERS).content.decode()


def test_time_element_has_a_machine_readable_utc_value(alice_client: Client, issue: Issue) -> None:
    issue(expires_at=datetime(2099, 3, 1, 0, 0, tzinfo=timezone.get_fixed_timezone(330)))

    assert '<time datetime="2099-02-28T18:30:00Z" title="28 Feb 2099, 6:30 pm UTC">28 Feb 2099, 6:30 pm UTC</time>' in (
        alice_client.get(OFFERS).content.decode()
    )


def test_search_matches_titles_case_insensitively(alice_client: Client, issue: Issue) -> None:
    issue(title="Green tea")
    issue(title="Coffee")

    assert titles_of(alice_client.get(OFFERS, {"q": "TEA"})) == ["Green tea"]
    assert "No matching offers" in alice_client.get(OFFERS, {"q": "rum"}).content.decode()


@pytest.mark.parametrize("odd", ["\x00", "%", "x" * 101, "'; DROP TABLE x; --", "\ud7ff🎉"])
def test_search_with_special_characters_succeeds(alice_client: Client, issue: Issue, odd: str) -> None:
    issue()

    assert alice_client.get(OFFERS, {"q": odd}).status_code == 200


def test_page_links_keep_the_search(alice_client: Client, issue: Issue) -> None:
    for number in range(25):
        issue(title=f"tea {number}")

    first, second = alice_client.get(OFFERS, {"q": "tea"}), alice_client.get(OFFERS, {"q": "tea", "page": "2"})

    assert [len(page.context["page"].items) for page in (first, second)] == [9, 9]
    assert 'rel="next" href="?q=tea&amp;page=2"' in first.content.decode()
    assert 'rel="prev" href="?q=tea&amp;page=1"' in second.content.decode()


@pytest.mark.parametrize("number", ["0", "-1", "x", "1e3", "99999", "9" * 30, "²"])
def test_invalid_page_number_is_not_found(alice_client: Client, number: str) -> None:
    assert alice_client.get(OFFERS, {"page": number}).status_code == 404


def test_pool_has_a_claim_button_unless_its_limit_is_reached(
    alice_client: Client, alice: User, open_pool: OpenPool, issue: Issue
) -> None:
    limited, free = open_pool(name="limited", per_user_limit=1), open_pool(name="free")
    for pool in (limited, limited, free):
        issue(pool=pool)
    claim_asset(CashbackAsset.objects.filter(pool=limited)[0].pk, alice)

    page = alice_client.get(OFFERS).content.decode()

    assert reverse("claim_pool", args=[free.pk]) in page
    assert reverse("claim_pool", args=[limited.pk]) not in page
    assert "You've reached the limit for this offer." in page


def test_a_hundred_credits_and_ten_pools_take_six_queries(
    alice_client: Client, alice: User, open_pool: OpenPool, issue: Issue, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(10):
        pool = open_pool(name=f"Pool {number}")
        for _ in range(10):
            asset = issue(pool=pool)
        claim_asset(asset.pk, alice)

    with django_assert_num_queries(2 + 4):  # session, user; pools, currencies, cards, the offers in them
        alice_client.get(OFFERS)


# --- Equal credits are one offer ---------------------------------------------------------------------------------------


def test_equal_credits_of_a_pool_are_one_offer_with_their_number(
    alice_client: Client, open_pool: OpenPool, issue: Issue
) -> None:
    pool, end = open_pool(), timezone.now() + timedelta(days=9)
    equal = [issue(pool=pool, title="tea", expires_at=end) for _ in range(3)]
    others = [issue(pool=pool, title="tea", expires_at=end, total_value=Decimal(9)), issue(title="tea", expires_at=end)]

    answer = alice_client.get(OFFERS, {"sort": "high"})

    offers = [offer for card in answer.context["cards"] for offer in card.offers]
    assert sorted(offer.left for offer in offers) == [1, 1, 3]
    (most,) = [offer for offer in offers if offer.left == 3]
    assert most.asset_id in [asset.pk for asset in equal]
    assert {offer.asset_id for offer in offers} >= {asset.pk for asset in others}
    assert "3 left" in answer.content.decode()


def test_offer_with_over_a_thousand_credits_shows_1000_plus(alice_client: Client, open_pool: OpenPool) -> None:
    for number in (1_000, 1):
        pool = open_pool(name=f"{number}")
        alike = [CashbackAsset(title="tea", total_value=1, currency="INR", pool=pool) for _ in range(1_000 + (number == 1))]
        CashbackAsset.objects.insert_all(alike)

    page = alice_client.get(OFFERS).content.decode()

    assert page.count("<span>1,000+ left</span>") == 1
    assert page.count("<span>1,000 left</span>") == 1


def test_index_jumps_return_the_same_rows_as_grouping(open_pool: OpenPool, issue: Issue) -> None:
    """Offers of several pools and of none, with and without an end, whatever the order, the page and how far jumps lead."""
    ends = [None, *(timezone.now() + timedelta(days=days) for days in (1, 2))]
    shown, hidden = [None, *(open_pool(name=name) for name in "ab")], open_pool(name="hidden", is_active=False)
    for number in range(70):
        facts = {"title": "xyz"[number % 3], "currency": "INR", "total_value": Decimal(1 + number % 2)}
        issue(pool=[*shown, hidden][number % 4], expires_at=ends[number % 5 % 3], **facts)
    issue(currency="JPY", total_value=Decimal(1), title="x")

    for order, once in product(SQL_ORDERS, (True, False)):
        rows = OfferRows(CashbackAsset.objects.claimable(), open_pools(), order, each_pool_once=once)
        grouped = rows.read(GROUPED, 0, 1_000)
        assert len(grouped) > (8 if once else 25)
        if not once:
            assert sum(row[5] for row in grouped) == CashbackAsset.objects.exclude(pool=hidden).count()
        for start, stop in [(0, 6), (6, 13), (20, 29), (0, 100), (99, 109)]:
            expected = [{**dict(zip(COLUMNS, row, strict=False)), "asset_id": None} for row in grouped[start:stop]]
            assert [{**row, "asset_id": None} for row in rows[start:stop]] == expected, (order, once, start)


@pytest.mark.parametrize("most", [0, 5, 20])
def test_offers_beyond_max_jumps_are_read_by_grouping(issue: Issue, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    for number in range(30):
        issue(title=f"{number:02}")
    monkeypatch.setattr(offer_rows, "MAX_JUMPS", most)

    for order, start in [("ends", 0), ("title", 0), ("title", 20)]:
        rows = OfferRows(CashbackAsset.objects.claimable(), open_pools(), order)
        assert [row["title"] for row in rows[start : start + 6]] == [f"{number:02}" for number in range(start, start + 6)]


def test_offer_links_to_a_random_one_of_its_credits(alice_client: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool = open_pool()
    for _ in range(20):
        issue(pool=pool)

    shown = {alice_client.get(OFFERS).context["cards"][0].offers[0].asset_id for _ in range(20)}

    assert len(shown) > 5


# --- Filters and orders ------------------------------------------------------------------------------------------------


@pytest.fixture
def teas(open_pool: OpenPool, issue: Issue) -> CreditPool:
    """Green tea for 10 that ends tomorrow, black tea for 30 that ends in ten days, chai of a pool for 20 that never ends."""
    now, pool = timezone.now(), open_pool(name="Chai")
    issue(title="green", total_value=Decimal(10), expires_at=now + timedelta(days=1))
    issue(title="black", total_value=Decimal(30), expires_at=now + timedelta(days=10))
    issue(title="chai", total_value=Decimal(20), pool=pool)
    return pool


@pytest.mark.parametrize(
    ("asked", "titles"),
    [
        ({"min": "15"}, ["black", "chai"]),
        ({"max": "20"}, ["green", "chai"]),
        ({"min": "15", "max": "25"}, ["chai"]),
        ({"ends": "2"}, ["green"]),
        ({"ends": "30"}, ["green", "black"]),
        ({"sort": "ends"}, ["green", "black", "chai"]),
        ({"sort": "high"}, ["black", "chai", "green"]),
        ({"sort": "low"}, ["green", "chai", "black"]),
        ({"sort": "title"}, ["black", "chai", "green"]),
        ({"q": "a", "sort": "low"}, ["chai", "black"]),
    ],
)
def test_offers_are_filtered_and_sorted(
    alice_client: Client, teas: CreditPool, asked: dict[str, str], titles: list[str]
) -> None:
    assert titles_of(alice_client.get(OFFERS, asked)) == titles


def test_offers_are_filtered_by_pool(alice_client: Client, teas: CreditPool) -> None:
    assert titles_of(alice_client.get(OFFERS, {"pool": str(teas.pk)})) == ["chai"]


@pytest.mark.parametrize(
    "odd",
    [
        {"min": "-1"},
        {"min": "x"},
        {"min": "1,000"},
        {"min": "₹100"},
        {"min": "1e3"},
        {"min": "1_000"},
        {"min": "٣"},
        {"max": "NaN"},
        {"max": "14", "min": "15"},
        {"max": "9" * 40},
        {"pool": "x"},
        {"currency": "x"},
        {"ends": "3"},
        {"sort": "x"},
    ],
)
def test_invalid_filter_is_refused_beside_its_field(alice_client: Client, teas: CreditPool, odd: dict[str, str]) -> None:
    answer = alice_client.get(OFFERS, odd)

    assert (answer.status_code, answer.context["cards"]) == (400, [])
    assert list(answer.context["filter"].errors) == list(odd)[:1]
    assert 'class="errorlist"' in answer.content.decode()


def test_a_script_shows_the_errors_of_a_filter_by_loading_the_page(alice_client: Client, teas: CreditPool) -> None:
    answer = alice_client.get(OFFERS, {"min": "1,000"}, headers={"HX-Request": "true"})

    assert (answer.status_code, answer["HX-Redirect"], answer.content) == (200, f"{OFFERS}?min=1%2C000", b"")


@pytest.mark.parametrize("compared", [{"min": "1"}, {"max": "0.50"}])
def test_values_of_several_currencies_are_compared_in_one_of_them(
    alice_client: Client, teas: CreditPool, issue: Issue, compared: dict[str, str]
) -> None:
    issue(title="yen", currency="JPY", total_value=Decimal(5))

    asked = alice_client.get(OFFERS, compared)
    chosen = alice_client.get(OFFERS, compared | {"currency": "JPY", "max": "9"})

    assert (asked.status_code, asked.context["cards"]) == (400, [])
    assert asked.context["filter"].errors == {"currency": [CURRENCY_REQUIRED]}
    assert 'name="currency"' in asked.content.decode()
    assert titles_of(chosen) == ["yen"]


# --- Pools that give nothing now ---------------------------------------------------------------------------------------


def test_pool_that_cannot_be_claimed_from_shows_the_reason(alice_client: Client, ada: User, open_pool: OpenPool) -> None:
    now = timezone.now()
    open_pool(name="empty")
    open_pool(name="coming", opens_at=now + timedelta(days=1))
    closed, gone = open_pool(name="closed"), open_pool(name="long gone")
    edit_pool.update_pool(closed.pk, ada, opens_at=now - timedelta(days=9), closes_at=now - timedelta(days=1))
    edit_pool.update_pool(gone.pk, ada, opens_at=now - timedelta(days=99), closes_at=now - timedelta(days=8))

    answer = alice_client.get(OFFERS)

    assert [pool.name for pool in answer.context["other_pools"]] == ["empty", "coming", "closed"]
    for text in ("Fully claimed", "Opens <time", "Closed <time"):
        assert text in answer.content.decode()
    assert "long gone" not in answer.content.decode()


def test_offer_expiring_within_two_days_has_a_countdown(alice_client: Client, issue: Issue) -> None:
    issue(title="soon", expires_at=timezone.now() + timedelta(hours=47))
    issue(title="later", expires_at=timezone.now() + timedelta(hours=49))

    assert alice_client.get(OFFERS).content.decode().count(" data-ends>") == 1


# --- Each supply once ---------------------------------------------------------------------------------------------------


def test_a_pool_is_one_card_with_its_different_offers_inside(alice_client: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool, now = open_pool(name="Diwali"), timezone.now()
    for number in range(6):
        for _ in range(2):
            issue(pool=pool, title=f"sweets {number}", expires_at=now + timedelta(days=9 + number))
    issue(title="Goodwill")

    answer = alice_client.get(OFFERS)

    diwali, goodwill = answer.context["cards"]
    assert [(offer.title, offer.left) for offer in diwali.offers] == [(f"sweets {number}", 2) for number in range(4)]
    assert (diwali.pool, diwali.has_more, goodwill.pool, goodwill.has_more) == (pool, True, None, False)
    page = answer.content.decode()
    assert page.count(f'href="{reverse("pool", args=[pool.pk])}">Diwali</a>') == 1
    assert "12 left" in page
    assert "All offers from Diwali" in page


def test_no_pool_is_listed_twice_on_any_page_in_any_order(alice_client: Client, open_pool: OpenPool, issue: Issue) -> None:
    now = timezone.now()
    for number in range(12):
        pool = open_pool(name=f"{number}")
        for value in (number + 1, 50 - number):
            issue(pool=pool, total_value=Decimal(value), title=f"{value:02}", expires_at=now + timedelta(days=value))
        issue(title=f"alone {number:02}")

    for order in SQL_ORDERS:
        pages = [alice_client.get(OFFERS, {"sort": order, "page": str(number)}).context["cards"] for number in (1, 2, 3)]
        cards = [card for page in pages for card in page]
        assert len({card.pool for card in cards if card.pool}) == len([card for card in cards if card.pool]) == 12, order
        assert len(cards) == 24


def test_the_offer_that_an_order_puts_first_is_in_the_card(alice_client: Client, open_pool: OpenPool, issue: Issue) -> None:
    pool, now = open_pool(), timezone.now()
    for value in range(1, 8):
        issue(pool=pool, total_value=Decimal(value), expires_at=now + timedelta(days=value))

    (card,) = alice_client.get(OFFERS, {"sort": "high"}).context["cards"]

    assert [offer.total_value for offer in card.offers] == [7, 1, 2, 3]


def test_only_offer_of_a_pool_is_claimed_through_the_pool_unless_a_filter_may_hide_others(
    alice_client: Client, open_pool: OpenPool, issue: Issue
) -> None:
    pool = open_pool()
    only, other = issue(pool=pool, title="tea"), issue(title="coffee")

    shown = [card.offers[0].through_pool for card in alice_client.get(OFFERS).context["cards"]]
    found = [card.offers[0].through_pool for card in alice_client.get(OFFERS, {"q": "tea"}).context["cards"]]

    assert sorted(shown) == [False, True]
    assert found == [False]
    assert (only.pool, other.pool) == (pool, None)


# --- Several currencies -------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(issue: Issue) -> None:
    """Credits of 5 dollars, 200 and 20 rupees and 900 yen."""
    for value, currency in (("5", "USD"), ("200", "INR"), ("900", "JPY"), ("20", "INR")):
        issue(title=f"{value} {currency}", total_value=Decimal(value), currency=currency)


@pytest.mark.parametrize(
    ("order", "titles"),
    [("high", ["200 INR", "20 INR", "900 JPY", "5 USD"]), ("low", ["20 INR", "200 INR", "900 JPY", "5 USD"])],
)
def test_order_by_value_is_grouped_by_currency(alice_client: Client, mixed: None, order: str, titles: list[str]) -> None:
    assert titles_of(alice_client.get(OFFERS, {"sort": order})) == titles


@pytest.mark.parametrize("asked", [{"min": "100"}, {"max": "100"}])
def test_range_of_values_asks_for_a_currency_when_there_are_several(
    alice_client: Client, mixed: None, asked: dict[str, str]
) -> None:
    refused = alice_client.get(OFFERS, asked)
    chosen = alice_client.get(OFFERS, asked | {"currency": "INR"})

    assert (refused.status_code, refused.context["cards"]) == (400, [])
    assert refused.context["filter"].errors == {"currency": [CURRENCY_REQUIRED]}
    assert str(CURRENCY_REQUIRED) in refused.content.decode()
    assert titles_of(chosen) == (["200 INR"] if "min" in asked else ["20 INR"])


def test_choice_of_currency_is_shown_only_when_there_are_several(alice_client: Client, issue: Issue) -> None:
    issue()
    one = alice_client.get(OFFERS).content.decode()
    issue(currency="USD")
    two = alice_client.get(OFFERS).content.decode()

    assert 'name="currency"' not in one
    assert 'name="currency"' in two
    assert titles_of(alice_client.get(OFFERS, {"currency": "USD"})) == ["Welcome bonus"]
