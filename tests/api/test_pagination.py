"""Cursor pagination of the lists."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from tests.api.conftest import ROOT, Caller, wrong_fields
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.api.pagination import Order
from wallet.assets.models import CashbackAsset, CreditPool

ASSETS = f"{ROOT}/assets/"
Issue = Callable[..., CashbackAsset]


def walk(caller: Caller, url: str | None, direction: str = "next") -> list[list[str]]:
    """Return the ids on each page, following the links."""
    pages = []
    while url:
        page = caller.get(url).json()
        pages.append([row.get("id") or row["asset"] for row in page["results"]])
        url = page[direction]
    return pages


@pytest.fixture
def many(issue: Issue) -> list[CashbackAsset]:
    """Return 11 credits with ties in every column and some that never expire."""
    soon, late = timezone.now() + timedelta(days=1), timezone.now() + timedelta(days=2)
    ends = [None, soon, late, soon, None, late, late, None, soon, late, None]
    return [issue(title=f"{n}", total_value=Decimal(1 + n % 3), expires_at=end) for n, end in enumerate(ends)]


@pytest.mark.parametrize("page_size", [1, 2, 3, 10, 11, 100])
@pytest.mark.parametrize("name", ["created_at", "-created_at", "expires_at", "-expires_at", "total_value", "-total_value"])
def test_every_row_is_on_exactly_one_page_forwards_and_backwards(
    as_alice: Caller, many: list[CashbackAsset], name: str, page_size: int
) -> None:
    column = {"created_at": "id"}.get(name.removeprefix("-"), name.removeprefix("-"))
    expected = [str(asset.pk) for asset in Order(column, name.startswith("-")).sort(CashbackAsset.objects.all())]

    pages = walk(as_alice, f"{ASSETS}?ordering={name}&page_size={page_size}")
    end = f"{ASSETS}?ordering={name}&page_size={page_size}"
    while following := as_alice.get(end).json()["next"]:
        end = following
    back = walk(as_alice, end, "previous")

    assert [row for page in pages for row in page] == expected
    assert all(len(page) == page_size for page in pages[:-1])
    assert back == pages[::-1]


def test_credits_without_expiry_come_last(as_alice: Caller, many: list[CashbackAsset]) -> None:
    ends = [asset["expires_at"] for asset in as_alice.get(ASSETS, {"ordering": "expires_at"}).json()["results"]]

    assert ends[-4:] == [None] * 4
    assert ends[:-4] == sorted(ends[:-4])


def test_default_order_is_newest_first(as_alice: Caller, many: list[CashbackAsset]) -> None:
    newest = [str(asset.pk) for asset in reversed(many)]

    assert walk(as_alice, ASSETS) == [newest]
    assert walk(as_alice, f"{ASSETS}?ordering=created_at") == [newest[::-1]]


def test_inserts_and_deletes_between_pages_skip_and_repeat_nothing(
    as_alice: Caller, ada: User, issue: Issue, many: list[CashbackAsset]
) -> None:
    first = as_alice.get(ASSETS, {"page_size": 4}).json()
    issue()
    edit_asset.delete_asset(many[7].pk, ada)  # the last row of the first page, which its cursor points at
    second = as_alice.get(first["next"]).json()

    assert [asset["title"] for asset in second["results"]] == ["6", "5", "4", "3"]


def test_default_page_size_is_25(as_alice: Caller, issue: Issue) -> None:
    for _ in range(26):
        issue()

    assert [len(page) for page in walk(as_alice, ASSETS)] == [25, 1]


def test_page_links_keep_the_filters(as_alice: Caller, many: list[CashbackAsset]) -> None:
    pages = walk(as_alice, f"{ASSETS}?min_value=2&page_size=3")

    expected = [str(asset.pk) for asset in reversed(many) if asset.total_value >= 2]
    assert [row for page in pages for row in page] == expected


def test_an_empty_list_is_one_empty_page(as_alice: Caller) -> None:
    assert as_alice.get(ASSETS).json() == {"next": None, "previous": None, "results": []}


def test_every_list_is_paginated(as_ada: Caller, alice: User, issue: Issue, open_pool: Callable[..., CreditPool]) -> None:
    for number in range(3):
        claim_asset(issue(pool=open_pool(name=f"Pool {number}")).pk, alice)

    for path in ("pools", "assets", "claims", "reports/ownership"):
        pages = walk(as_ada, f"{ROOT}/{path}/?page_size=2")
        assert [len(page) for page in pages] == [2, 1], path


def cursor_of(answer: Any) -> str:
    return str(answer.json()["next"]).split("cursor=")[1].split("&")[0]


def test_cursor_of_another_list_or_order_is_refused(as_ada: Caller, many: list[CashbackAsset]) -> None:
    cursor = cursor_of(as_ada.get(ASSETS, {"page_size": 2}))

    assert as_ada.get(f"{ASSETS}?cursor={cursor}").status_code == 200
    assert wrong_fields(as_ada.get(f"{ASSETS}?cursor={cursor}&ordering=expires_at")) == ["cursor"]
    assert wrong_fields(as_ada.get(f"{ROOT}/reports/ownership/?cursor={cursor}")) == ["cursor"]


@pytest.mark.parametrize("name", ["ordering", "page_size"])
def test_an_empty_parameter_is_no_default(as_ada: Caller, name: str) -> None:
    assert wrong_fields(as_ada.get(f"{ASSETS}?{name}=")) == [name]


def test_forged_cursor_is_refused(as_ada: Caller, many: list[CashbackAsset]) -> None:
    cursor = cursor_of(as_ada.get(ASSETS, {"page_size": 2}))

    for made_up in ("x", cursor[:-1], f"{cursor}x", cursor.swapcase(), "W10", "%00", "é", "a:b", ":", "a" * 2000):
        assert wrong_fields(as_ada.get(f"{ASSETS}?cursor={made_up}")) == ["cursor"], made_up


def test_page_links_ignore_x_forwarded_host(as_alice: Caller, many: list[CashbackAsset]) -> None:
    answer = as_alice.get(ASSETS, {"page_size": 2}, headers={"X-Forwarded-Host": "evil.example"})

    assert answer.json()["next"].startswith("http://testserver/api/v1/assets/?")


def test_page_condition_lets_an_index_start_at_the_row(as_alice: Caller) -> None:
    """Look at the condition itself: an index can begin at `>=`, and cannot at an OR."""
    condition = str(CashbackAsset.objects.filter(Order("total_value", descending=False).after("5", "1" * 32)).query)

    assert 'total_value" >= 5' in condition
