"""Batches and fallbacks in /metrics: a bug in the code of a batch costs no claim, and is seen."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

import pytest
from django.test import Client
from pytest_django import Settings

from accounts import tokens
from accounts.models import User
from kernel.batching import Batcher
from kernel.fallbacks import Fallback
from tests.concurrency import at_once
from wallet.assets.models import CashbackAsset
from wallet.ledger import idempotency

SAMPLE = re.compile(r'(\w+)\{\w+="([\w.]+)"\} (\d+)')
Samples = dict[tuple[str, str], int]


def samples() -> Samples:
    """Return the values in /metrics by name and label."""
    text = Client().get("/metrics").content.decode()
    return {(name, label): int(value) for name, label, value in SAMPLE.findall(text)}


def claim_all(user: User, assets: Sequence[CashbackAsset]) -> list[int]:
    """Claim each asset through the API in a thread of its own; return the statuses."""
    bearer = {"Authorization": f"Bearer {tokens.issue_pair(user).access}"}

    def claim(asset_id: UUID) -> int:
        client = Client(raise_request_exception=False)
        return client.post(f"/api/v1/assets/{asset_id}/claim/", content_type="application/json", headers=bearer).status_code

    return [int(str(status)) for status in at_once(claim, [asset.pk for asset in assets])]


@pytest.fixture
def _unlimited(settings: Settings) -> None:
    settings.RATES = dict.fromkeys(settings.RATES, "off")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_unlimited")
def test_batches_of_claims_and_their_sizes_are_in_the_metrics(alice: User, issue: Callable[..., CashbackAsset]) -> None:
    assets, before = [issue() for _ in range(8)], samples()

    assert claim_all(alice, assets) == [201] * 8

    after = samples()
    batches, items, fallbacks = (
        after[key] - before[key]
        for key in (
            ("cashback_batches_total", "asset_claims"),
            ("cashback_batched_items_total", "asset_claims"),
            ("cashback_fallbacks_total", "asset_claims.batch_failed"),
        )
    )
    assert items == 8
    assert 1 <= batches <= 8
    assert fallbacks == 0
    assert after["cashback_largest_batch_items", "asset_claims"] >= items / batches


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_unlimited")
def test_bug_in_the_batch_code_of_claims_is_in_the_log_and_in_the_metrics(
    alice: User, issue: Callable[..., CashbackAsset], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assets = [issue() for _ in range(8)]
    release_keys = idempotency.release_keys

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug on purpose")

    before = samples()
    monkeypatch.setattr(idempotency, "release_keys", broken)  # a step of batches alone
    with caplog.at_level(logging.ERROR):
        statuses = claim_all(alice, assets)
    monkeypatch.setattr(idempotency, "release_keys", release_keys)

    after = samples()
    failed = ("cashback_fallbacks_total", "asset_claims.batch_failed")
    batches = ("cashback_batches_total", "asset_claims")
    assert statuses == [201] * 8
    assert after[failed] - before[failed] == after[batches] - before[batches] >= 1
    logged = [record for record in caplog.records if record.name == "kernel.batching"]
    assert len(logged) == 1  # once per 10 s, however many batches failed
    assert "a batch of asset_claims failed" in logged[0].getMessage()
    assert logged[0].exc_info is not None
    assert isinstance(logged[0].exc_info[1], ZeroDivisionError)


def test_metrics_declare_counters_and_gauges(client: Client, db: None) -> None:
    text = client.get("/metrics").content.decode()

    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    helped = set(re.findall(r"^# HELP (\w+) .+$", text, re.MULTILINE))
    assert types.keys() == helped
    assert {name: types[name] for name in types if "batch" in name or "fallback" in name} == {
        "cashback_batches_total": "counter",
        "cashback_batched_items_total": "counter",
        "cashback_largest_batch_items": "gauge",
        "cashback_fallbacks_total": "counter",
    }
    assert all((kind == "counter") == name.endswith("_total") for name, kind in types.items())
    names = Counter(line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#"))
    assert max(names.values()) == 1


def test_names_of_batchers_and_fallbacks_are_unique_and_known(client: Client, db: None) -> None:
    batchers = [batcher.name for batcher in Batcher.instances if not batcher.name.startswith("test")]
    fallbacks = [fallback.name for fallback in Fallback.instances if not fallback.name.startswith("test")]

    assert sorted(batchers) == sorted(set(batchers))
    assert sorted(fallbacks) == sorted(set(fallbacks))
    assert {"asset_claims", "pool_claims", "token_families", "rate_limit_counts"} <= set(batchers)
    assert {
        "claim_lock.skipped",
        "claim_lock.lost",
        "database.sessions_replaced",
        "password_hashing.no_answer",
        "rate_limits.not_counted",
        "redis.paused",
        "refusal_counts.not_counted",
        "refusal_counts.not_read",
    } <= set(fallbacks)


@pytest.mark.usefixtures("_unlimited")
def test_outage_of_redis_is_in_the_metrics(
    client: Client, alice: User, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.force_login(alice)
    before = samples()
    default = settings.CACHES["default"] | {"LOCATION": f"unix://{tmp_path}/none.sock"}
    settings.CACHES = settings.CACHES | {"default": default}

    answer = client.post("/api/v1/assets/0192f0c1-7c3a-7b6e-9d52-3f1f4f0f8a11/claim/", content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    after = samples()
    for name in ("redis.paused", "refusal_counts.not_counted"):
        assert after["cashback_fallbacks_total", name] > before["cashback_fallbacks_total", name], name
    assert "a refusal was not counted: Redis does not answer" in caplog.text
