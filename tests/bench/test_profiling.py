"""Parts of a claim's profile, by source file; nothing is measured here."""

from collections import Counter

import pytest

from dev.bench import profile
from dev.bench.plot import render_bars
from dev.bench.results import Figure
from dev.race.launch import ROOT

VIEW = "ThreadWorker.handle (gunicorn/workers/gthread.py:553);APIView.dispatch (rest_framework/views.py:512)"
QUERY = (
    f"{VIEW};claim (wallet/actions/claim.py:70);CursorWrapper.execute (django/db/backends/utils.py:79)"
    ";dumps (json/__init__.py:231)"
)
COUNT = f"{VIEW};check (accounts/throttles.py:80);LocMemCache.get (django/core/cache/backends/locmem.py:10)"


def test_the_standard_library_counts_as_its_caller_and_the_longest_path_decides() -> None:
    lines = f"{QUERY} 3\n{COUNT} 2\n{VIEW} 1\nThread.run (threading.py:982) 4\n"

    assert profile.sample_shares(lines) == Counter(
        {
            "the ORM and the driver of PostgreSQL": 3,
            "the limit: counting in Redis": 2,
            "REST framework around the claim": 1,
            profile.REST: 4,
        }
    )


@pytest.mark.parametrize(
    ("today", "earlier", "part"),
    [
        ("kernel/batching.py", "accounts/together.py", profile.BATCHING),
        ("kernel/rate_limits.py", "accounts/throttles.py", profile.LIMIT),
        ("cashback/redis_cache.py", "cashback/store.py", profile.LIMIT),
        ("cashback/gunicorn_worker/worker.py", "cashback/worker.py", profile.HTTP),
        ("cashback/gunicorn_worker/polling.py", "cashback/polling.py", profile.HTTP),
        ("wallet/actions/claim_batch.py", "wallet/claims.py", profile.PRODUCT),
        ("kernel/transactions.py", "wallet/contention.py", profile.PRODUCT),
        ("cashback/http/request_connections.py", "cashback/request_connections.py", profile.PRODUCT),
    ],
)
def test_a_file_has_the_same_part_today_and_in_earlier_revisions(today: str, earlier: str, part: str) -> None:
    assert (ROOT / today).exists()
    assert [profile.part_of([f"run ({file}:1)"]) for file in (today, earlier)] == [part, part]


def test_the_paths_of_today_exist() -> None:
    ours = [path for path in profile.TODAY if path.startswith(("accounts/", "cashback/", "kernel/", "wallet/"))]

    assert [path for path in ours if not (ROOT / path).exists()] == []


def test_a_figure_without_a_target_is_reached() -> None:
    told = Figure("of it: new work", None, "less", [(2, 0)], "ms")

    assert told.reached
    assert told.cells("profile") == ("profile", "of it: new work", "", "", "2", "0", "ms", "", "")
    assert 'class="before"' in render_bars("the profile", [told])
