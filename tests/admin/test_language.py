"""The console is in English, whatever language a browser asks for."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from tests.admin.conftest import seal_an_entry
from wallet.actions import edit_asset
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool

DEVANAGARI = re.compile("[\u0900-\u097f]+")
ISO_MINUTE = re.compile(r"\b20\d\d-\d\d-\d\d \d\d:\d\d\b")
# A day and a month in figures only, in either order.
AMBIGUOUS = re.compile(r"\b\d{1,2}/\d{1,2}/\d{2,4}\b|\b\d{1,2}\.\d{1,2}\.\d{4}\b")
HINDI = {"Accept-Language": "hi-IN,hi;q=0.9"}


@pytest.fixture
def pages(open_pool: Callable[..., CreditPool], issue: Callable[..., CashbackAsset], ada: User, alice: User) -> list[str]:
    pool = open_pool(closes_at=timezone.now() + timedelta(days=40))
    free, owned = (issue(pool=pool, expires_at=timezone.now() + timedelta(days=9)) for _ in range(2))
    edit_asset.update_asset(free.pk, ada, title="Lamp")
    claim_asset(owned.pk, alice)
    seal = seal_an_entry()
    lists = ["assets_creditpool", "assets_cashbackasset", "assets_cashbackassetevent", "assets_issuance"]
    lists += ["ledger_claimedasset", "ledger_entry", "ledger_seal"]
    rows = [("assets_creditpool", pool.pk), ("assets_cashbackasset", free.pk), ("ledger_seal", seal.pk)]
    return [
        reverse("admin:index"),
        reverse("system"),
        reverse("admin:ledger_claimedasset_owners"),
        reverse("admin:assets_cashbackasset_import"),
        reverse("admin:assets_creditpool_history", args=[pool.pk]),
        reverse("admin:assets_creditpool_issue", args=[pool.pk]),
        *(reverse(f"admin:{name}_changelist") for name in lists),
        *(reverse(f"admin:{name}_change", args=[pk]) for name, pk in rows),
    ]


@pytest.mark.parametrize("cookie", [False, True], ids=["by header", "by cookie"])
def test_a_hindi_browser_reads_every_console_page_in_english(console: Client, pages: list[str], cookie: bool) -> None:
    if cookie:
        console.cookies["django_language"] = "hi"

    for page in pages:
        answer = console.get(page, headers=HINDI)
        text = answer.content.decode()

        assert '<html lang="en' in text, page
        assert answer.headers["Content-Language"] == "en"
        assert DEVANAGARI.findall(text) == [], page


def test_dates_and_numbers_of_the_console_are_the_same_for_every_browser(console: Client, pages: list[str]) -> None:
    for page in pages:
        english, hindi = (
            re.sub(r'"csrfmiddlewaretoken" value="\w+"|\d\d:\d\d:\d\d', "", console.get(page, headers=headers).content.decode())
            for headers in ({}, HINDI)
        )

        assert AMBIGUOUS.findall(hindi) == [], page
        assert ISO_MINUTE.findall(hindi) == ISO_MINUTE.findall(english), page
    assert ISO_MINUTE.search(console.get(reverse("admin:ledger_entry_changelist"), headers=HINDI).content.decode())


def test_a_refused_form_of_the_console_is_explained_in_english(console: Client) -> None:
    answer = console.post(reverse("admin:assets_creditpool_add"), {}, headers=HINDI)

    assert "This field is required." in answer.content.decode()
    assert DEVANAGARI.findall(answer.content.decode()) == []


def test_sign_in_to_the_console_is_in_english_and_the_pages_stay_in_hindi(client: Client) -> None:
    assert DEVANAGARI.findall(client.get(reverse("admin:login"), headers=HINDI).content.decode()) == []
    assert DEVANAGARI.findall(client.get("/register/", headers=HINDI).content.decode()) != []


def test_error_page_of_the_console_is_in_english(console: Client) -> None:
    answer = console.get("/admin/nothing/", headers=HINDI)

    assert answer.status_code == 404
    assert answer.headers["Content-Language"] == "en"
    assert "Page not found" in answer.content.decode()
