"""Short runs of the faults: no violation, and the fault was injected. `make prove` runs all of them, and longer."""

from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pytest

from dev.chaos.catalogue import FAULTS
from dev.chaos.run import run_faults

pytestmark = pytest.mark.xdist_group("faults")
WORKING = ["T0", "T3", "T4", "T5", "T6", "T9", "T10", "T14", "T15", "T16", "T20", "T23", "T25", "T26", "T27", "T28"]
PAYING = ["T30", "T31", "T32", "T33", "T34", "T35", "T36", "T37"]
SCHEDULING = ["T50", "T51", "T52", "T53", "T54"]
WAITING = ["T7", "T13", "T21"]
QUICK = [*WORKING, *PAYING, *SCHEDULING, *WAITING]


@pytest.fixture(scope="session")
def outcomes() -> dict[str, dict[str, Any]]:
    """The faults that load the machine run one after the other; beside them run those that mostly wait."""

    def run(names: list[str]) -> list[tuple[str, dict[str, Any]]]:
        return list(run_faults({name: FAULTS[name].quick for name in names}, seed=2026))

    with ThreadPoolExecutor() as threads:
        return dict(chain(*threads.map(run, ([*WORKING, *PAYING, *SCHEDULING], WAITING))))


def test_every_fault_is_run_but_the_soak_which_is_made_of_them() -> None:
    assert {*QUICK, "T24"} == set(FAULTS)


@pytest.mark.parametrize("name", QUICK)
def test_nothing_is_lost_doubled_or_unexplained(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    assert outcomes[name]["violations"] == []


@pytest.mark.parametrize("name", QUICK)
def test_the_fault_was_injected(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    if outcomes[name]["skipped"]:
        pytest.skip(outcomes[name]["note"])
    assert outcomes[name]["count"] >= outcomes[name]["least"] >= 1


@pytest.mark.parametrize(
    ("name", "count"), [("T3", 1000), ("T4", 200), ("T5", 1000), ("T9", 20), ("T10", 5), ("T16", 5), ("T23", 20), ("T50", 30)]
)
def test_a_run_of_ten_minutes_fails_below_the_required_count(name: str, count: int) -> None:
    fault = FAULTS[name]

    assert fault.least(fault.seconds(600)) == count
