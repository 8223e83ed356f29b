"""Batches and fallbacks in /metrics: a bug in the code of a batch costs no claim, and is seen."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Task
from pytest_django import Settings

from accounts import tokens
from accounts.models import User
from cashback.http import request_log
from kernel import refusal_counts
from kernel.batching import Batcher
from kernel.fallbacks import Fallback
from tests.concurrency import at_once
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset, CreditPool
from wallet.ledger import idempotency

SAMPLE = re.compile(r'(\w+)\{\w+="([\w.]+)"\} (\d+)')
CLAIM_OF_NOTHING = "/api/v1/assets/0192f0c1-7c3a-7b6e-9d52-3f1f4f0f8a11/claim/"
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
        "cashback_batch_size": "histogram",
        "cashback_batches_total": "counter",
        "cashback_batched_items_total": "counter",
        "cashback_largest_batch_items": "gauge",
        "cashback_fallbacks_total": "counter",
    }
    assert all((kind == "counter") == name.endswith("_total") for name, kind in types.items())
    names = Counter(line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#"))
    assert max(names.values()) == 1


def test_metrics_and_the_list_in_the_documentation_are_the_same(client: Client, db: None) -> None:
    operations = (settings.BASE_DIR / "docs/operations.md").read_text()
    documented = {re.sub("_bucket$", "", name) for name in re.findall(r"\bcashback_[a-z_]+", operations)} - {"cashback_app"}

    client.get("/healthz")
    types = set(re.findall(r"^# TYPE (cashback_\w+)", client.get("/metrics").content.decode(), re.MULTILINE))

    assert documented == types


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

    answer = client.post(CLAIM_OF_NOTHING, content_type="application/json")
    refusal_counts.UNWRITTEN.write()

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    after = samples()
    for name in ("redis.paused", "refusal_counts.not_counted"):
        assert after["cashback_fallbacks_total", name] > before["cashback_fallbacks_total", name], name
    assert "a refusal was not counted: Redis does not answer" in caplog.text


def value_of(sample: str) -> float:
    """Return the value of a sample in /metrics, by its name and labels as written there; 0 if it is not there."""
    lines = Client().get("/metrics").content.decode().splitlines()
    return float(next((line.rsplit(" ", 1)[1] for line in lines if line.startswith(f"{sample} ")), "0"))


@pytest.mark.usefixtures("_unlimited")
def test_claims_are_counted_by_kind_and_outcome(
    client: Client, alice: User, bob: User, issue: Callable[..., CashbackAsset], open_pool: Callable[..., CreditPool]
) -> None:
    pool = open_pool()
    asset, key = issue(pool=pool), {"Idempotency-Key": "claim-of-the-pool-1"}
    kinds = [("pool", "claimed"), ("pool", "replayed"), ("asset", "repeated"), ("asset", "asset_already_claimed")]
    kinds += [("pool", "pool_sold_out"), ("asset", "not_found")]
    samples = [f'cashback_claims_total{{kind="{kind}",outcome="{outcome}"}}' for kind, outcome in kinds]
    before = [value_of(sample) for sample in samples]
    by_id, of_pool = f"/api/v1/assets/{asset.pk}/claim/", f"/api/v1/pools/{pool.pk}/claim/"

    def claim(user: User, path: str, **headers: str) -> int:
        client.force_login(user)
        return client.post(path, content_type="application/json", headers=headers).status_code

    statuses = [claim(alice, of_pool, **key), claim(alice, of_pool, **key), claim(alice, by_id), claim(bob, by_id)]
    statuses += [claim(bob, of_pool, **{"Idempotency-Key": "claim-of-bob-number-2"}), claim(bob, CLAIM_OF_NOTHING)]

    assert statuses == [201, 201, 200, 409, 409, 404]
    assert [value_of(sample) - count for sample, count in zip(samples, before, strict=True)] == [1] * 6


@pytest.mark.usefixtures("_unlimited")
def test_refusals_are_counted_by_code(client: Client, alice: User) -> None:
    sample = 'cashback_refusals_total{code="not_found"}'
    before = value_of(sample)
    client.force_login(alice)

    client.post(CLAIM_OF_NOTHING, content_type="application/json")

    assert value_of(sample) == before + 1


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("get", "/healthz?secret=1", 'method="GET",route="healthz",status="2xx"'),
        ("get", "/api/v1/assets/0192f0c1-7c3a-7b6e-9d52-3f1f4f0f8a11/", 'method="GET",route="asset-detail",status="4xx"'),
        ("get", "/no/such/page/1234", 'method="GET",route="unmatched",status="4xx"'),
        ("get", "/problems/not_found/", 'method="GET",route="problem",status="2xx"'),
        ("get", "/admin/1234/5678/", 'method="GET",route="admin:django.contrib.admin.sites.catch_all_view",status="3xx"'),
    ],
)
def test_requests_are_counted_by_route_and_never_by_path(client: Client, db: None, method: str, path: str, labels: str) -> None:
    count, timed = f"cashback_http_requests_total{{{labels}}}", f"cashback_http_request_duration_seconds_count{{{labels}}}"
    before = value_of(count), value_of(timed)

    getattr(client, method)(path)

    assert (value_of(count), value_of(timed)) == (before[0] + 1, before[1] + 1)
    text = re.sub(r" [0-9.e+-]+$", "", client.get("/metrics").content.decode(), flags=re.MULTILINE)  # without the numbers
    assert "1234" not in text
    assert "secret" not in text


def test_method_that_does_not_exist_adds_no_series(client: Client, db: None) -> None:
    client.generic("MADEUP0", "/healthz")
    kept = request_log.duration_metric.cache_info().currsize
    for number in (1, 2):
        client.generic(f"MADEUP{number}", "/healthz")

    assert request_log.duration_metric.cache_info().currsize == kept
    text = client.get("/metrics").content.decode()
    assert "MADEUP" not in text
    assert 'cashback_http_requests_total{method="other",route="healthz",status="4xx"} 3.0' in text


def test_ages_of_queue_sweep_and_seals_are_in_the_metrics(
    client: Client, alice: User, issue: Callable[..., CashbackAsset]
) -> None:
    assert value_of("cashback_queue_age_seconds") == 0
    assert value_of("cashback_last_sweep_age_seconds") == float("inf")
    assert value_of("cashback_seal_lag_seconds") == 0
    now = timezone.now()

    Schedule.objects.create(name="late", func="wallet.tasks.sweep", next_run=now - timedelta(seconds=300), repeats=-1)
    Schedule.objects.create(name="over", func="wallet.tasks.sweep", next_run=now - timedelta(seconds=900), repeats=0)
    for seconds, success in ((200, True), (10, False)):
        ended = now - timedelta(seconds=seconds)
        Task.objects.create(id=str(seconds), name="x", func="wallet.tasks.sweep", started=ended, stopped=ended, success=success)
    claim_asset(issue().pk, alice)

    assert 300 <= value_of("cashback_queue_age_seconds") < 330
    assert 200 <= value_of("cashback_last_sweep_age_seconds") < 230
    assert 0 < value_of("cashback_seal_lag_seconds") < 30


@pytest.mark.parametrize(("lock_in_seconds", "age"), [(-400, 400), (300, 0)])
def test_queued_task_counts_until_a_worker_takes_it(client: Client, db: None, lock_in_seconds: int, age: int) -> None:
    OrmQ.objects.create(key="cashback", payload="x", lock=timezone.now() + timedelta(seconds=lock_in_seconds))

    assert age <= value_of("cashback_queue_age_seconds") < age + 30
