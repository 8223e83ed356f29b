"""Expensive reads by URL: each search and list of the console and each export, and their refusals."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from drf_spectacular.generators import SchemaGenerator
from pytest_django import Settings

from accounts.expensive_reads import EXPORT, SEARCH
from accounts.models import User
from kernel import file_download, slots
from kernel.file_download import OPEN_FILES
from tests.admin.test_access import OPERATOR_SECTIONS
from tests.api.conftest import ROOT
from tests.security.conftest import as_caller
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset

OPERATORS = (
    reverse("admin:index"),
    reverse("admin:ledger_claimedasset_owners"),
    *(reverse(f"admin:{room}_changelist") for room in sorted(OPERATOR_SECTIONS)),
)
# Each bulk job has its own report; proposals, what rules owe and who invited whom are read on pages.
WITHOUT_EXPORT = {"assets_bulkjob", "ledger_proposal", "programme_grantdue", "programme_grantrule", "programme_referral"}
FILES = tuple(
    reverse(f"admin:{room}_export", args=[shape])
    for room in (*sorted(OPERATOR_SECTIONS - WITHOUT_EXPORT), "ledger_claimedasset_owners")
    for shape in ("csv", "xlsx")
)
PAGES = ("/offers/?q=lamp", "/offers/?page=2", "/offers/?sort=high", "/claims/?q=lamp")
CALLS = (
    "assets/?search=lamp",
    "assets/?currency=INR",
    "assets/?min_value=1",
    "claims/?pool=0192f0c1-0a51-7d0c-8f43-6a1d2f5e9b20",
)
REPORTS = ("reports/ownership/?owner=bob", "reports/ownership/?search=lamp")
PLAIN = ("assets/", "assets/?status=AVAILABLE&ordering=expires_at", "assets/?mine=true", "claims/", "pools/", "wallet/")


@pytest.fixture
def once(settings: Settings) -> None:
    """One expensive read of a kind a day for each person."""
    settings.RATES = dict.fromkeys(settings.RATES, "off") | {"search": "1/d", "export": "1/d"}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Others hold every place, and nobody waits long."""
    monkeypatch.setattr(slots, "WAIT_SECONDS", 0.02)
    both = (SEARCH.slots, EXPORT.slots)
    for places in both:
        places.free_at, free = [], places.free_at
        assert len(free) == places.count
    yield
    for places in both:
        places.release(0.0)


def console_of(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.mark.parametrize("address", [*OPERATORS, *FILES])
@pytest.mark.usefixtures("taken")
def test_the_console_waits_for_a_place_and_says_when_to_come_back(address: str, ada: User) -> None:
    answer = console_of(ada).get(address)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.usefixtures("taken")
def test_a_narrowed_page_waits_for_a_place(address: str, alice: User) -> None:
    assert console_of(alice).get(address).status_code == 503
    assert console_of(alice).get(address.partition("?")[0]).status_code == 200


@pytest.mark.parametrize("address", [*CALLS, *REPORTS, "reports/ownership/?format=csv"])
@pytest.mark.usefixtures("taken")
def test_a_search_by_api_waits_for_a_place(address: str, ada: User) -> None:
    answer = as_caller(ada).get(f"{ROOT}/{address}")

    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "busy", "3")


@pytest.mark.parametrize("address", PLAIN)
@pytest.mark.usefixtures("taken")
def test_list_answered_by_an_index_needs_no_slot(address: str, alice: User) -> None:
    assert as_caller(alice).get(f"{ROOT}/{address}").status_code == 200


@pytest.mark.usefixtures("taken")
def test_a_claim_waits_for_no_place(alice: User, issue: Callable[..., CashbackAsset]) -> None:
    assert as_caller(alice).post(f"{ROOT}/assets/{issue().pk}/claim/").status_code == 201


@pytest.mark.usefixtures("once")
def test_one_person_searches_so_often_and_another_is_not_counted(alice: User, bob: User) -> None:
    first, second, other = (as_caller(user).get(f"{ROOT}/assets/?search=lamp") for user in (alice, alice, bob))

    assert (first.status_code, second.status_code, other.status_code) == (200, 429, 200)
    assert second.json()["code"] == "rate_limited"
    page = console_of(alice).get("/offers/?q=lamp")
    assert (page.status_code, "Retry-After" in page.headers) == (429, True)


@pytest.mark.usefixtures("once")
def test_one_person_takes_so_many_files(ada: User) -> None:
    first, second = (as_caller(ada).get(f"{ROOT}/reports/ownership/?format=csv") for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 429)
    assert console_of(ada).get(FILES[0]).status_code == 429


def test_slow_search_is_cancelled_with_advice(
    ada: User, issue: Callable[..., CashbackAsset], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SEARCH_TIMEOUT_MS = 20
    monkeypatch.setattr("wallet.assets.querysets.TITLES", "SELECT 1, NULL FROM pg_sleep(20) WHERE %s <> '' AND %s > 0")

    answer = as_caller(ada).get(f"{ROOT}/assets/?search=lamp")

    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert "Request less" in answer.json()["detail"]


def test_open_files_are_bounded_and_released_when_closed_or_collected(ada: User) -> None:
    gc.collect()  # unclosed responses of earlier tests hold slots
    caller = as_caller(ada)
    answers: list[Any] = [caller.get(f"{ROOT}/reports/ownership/?format=csv") for _ in range(OPEN_FILES.count + 1)]

    assert [answer.status_code for answer in answers] == [200] * OPEN_FILES.count + [503]
    answers.pop()
    assert b"".join(answers.pop().streaming_content).startswith(b"asset,title")
    assert len(OPEN_FILES.free_at) == 1
    answers.clear()
    gc.collect()
    assert len(OPEN_FILES.free_at) == OPEN_FILES.count


def test_too_large_file_is_refused_and_releases_its_slot(
    ada: User, alice: User, issue: Callable[..., CashbackAsset], monkeypatch: pytest.MonkeyPatch
) -> None:
    gc.collect()  # unclosed responses of earlier tests hold slots
    claim_asset(issue().pk, alice)
    monkeypatch.setattr(file_download, "MEGABYTE", 0)

    answer = as_caller(ada).get(f"{ROOT}/reports/ownership/?format=csv")

    assert (answer.status_code, answer.json()["code"]) == (400, "too_many_rows")
    assert len(OPEN_FILES.free_at) == OPEN_FILES.count


def test_the_schema_is_made_once_in_each_form(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a second of the processor, and anybody may ask for it."""
    addresses = [f"{ROOT}/schema/?format={form}&lang=x{number}" for form in ("json", "yaml") for number in range(3)]
    first = [Client().get(address).content for address in addresses]
    made: list[object] = []
    monkeypatch.setattr(SchemaGenerator, "get_schema", lambda *_, **__: made.append(1))

    assert [Client().get(address).content for address in addresses] == first
    assert made == []
