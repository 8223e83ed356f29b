"""Whose work a line of code is, when a profile is shared out; nothing here takes a time."""

from collections import Counter

from dev.bench import profile
from dev.bench.plot import render_bars
from dev.bench.results import Figure

VIEW = "ThreadWorker.handle (gunicorn/workers/gthread.py:553);APIView.dispatch (rest_framework/views.py:512)"
QUERY = (
    f"{VIEW};claim (wallet/actions/claim.py:70);CursorWrapper.execute (django/db/backends/utils.py:79)"
    ";dumps (json/__init__.py:231)"
)
COUNT = f"{VIEW};check (accounts/throttles.py:80);LocMemCache.get (django/core/cache/backends/locmem.py:10)"


def test_the_standard_library_works_for_whoever_called_it_and_the_longest_beginning_counts() -> None:
    lines = f"{QUERY} 3\n{COUNT} 2\n{VIEW} 1\nThread.run (threading.py:982) 4\n"

    assert profile.sample_shares(lines) == Counter(
        {
            "the ORM and the driver of PostgreSQL": 3,
            "the limit: counting in Redis": 2,
            "REST framework around the claim": 1,
            profile.REST: 4,
        }
    )


def test_what_has_no_target_is_only_told() -> None:
    told = Figure("of it: new work", None, "less", [(2, 0)], "ms")

    assert told.reached
    assert told.cells("profile") == ("profile", "of it: new work", "", "", "2", "0", "ms", "", "")
    assert 'class="before"' in render_bars("the profile", [told])
