"""Counters of refusals by code; a failing counter does not change the response."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from kernel import refusal_counts
from tests.concurrency import at_once
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset


def counted() -> dict[str, int] | None:
    return refusal_counts.refusals_by_code(timezone.now() - timedelta(hours=1), timezone.now())


@pytest.fixture
def claimed_asset(issue: Callable[..., CashbackAsset], bob: User) -> CashbackAsset:
    asset = issue()
    claim_asset(asset.pk, bob)
    return asset


def test_api_and_pages_count_refusals(client: Client, alice: User, claimed_asset: CashbackAsset) -> None:
    client.force_login(alice)

    client.post(f"/api/v1/assets/{claimed_asset.pk}/claim/", content_type="application/json")
    client.post(reverse("claim_asset", args=[claimed_asset.pk]))

    assert counted() == {"asset_already_claimed": 2}


def test_counts_of_a_second_are_written_with_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    written, commands = threading.Event(), []

    def write(*command: object) -> None:
        commands.append(command)
        written.set()

    monkeypatch.setattr(refusal_counts, "add_to_cache", write)
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)

    for _ in range(3):
        refusal_counts.count_refusal("busy")

    assert written.wait(30)
    assert commands == [(refusal_counts.cache_key(now, "busy"), 3)]


def test_the_first_count_of_an_hour_and_the_next_are_added(db: None) -> None:
    for number in (2, 3):
        for _ in range(number):
            refusal_counts.count_refusal("busy")
        refusal_counts.UNWRITTEN.write()

    assert counted() == {"busy": 5}


def test_counts_of_many_threads_are_all_written(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setattr(refusal_counts, "WRITE_SECONDS", 0.001)

    def refuse(_number: int) -> None:
        for _ in range(100):
            refusal_counts.count_refusal("busy")

    at_once(refuse, range(8))

    assert counted() == {"busy": 800}


def test_success_is_not_counted(client: Client, alice: User, issue: Callable[..., CashbackAsset]) -> None:
    client.force_login(alice)

    client.post(f"/api/v1/assets/{issue().pk}/claim/", content_type="application/json")

    assert counted() == {}


def test_unavailable_cache_only_loses_the_count(
    client: Client, alice: User, claimed_asset: CashbackAsset, settings: Settings, tmp_path: Path
) -> None:
    client.force_login(alice)
    settings.CACHES = settings.CACHES | {"default": settings.CACHES["default"] | {"LOCATION": f"unix://{tmp_path}/none.sock"}}

    answer = client.post(f"/api/v1/assets/{claimed_asset.pk}/claim/", content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (409, "asset_already_claimed")
    assert counted() is None
