"""Short runs of the faults: green, and the fault did strike. `make prove` runs them all, and longer."""

from typing import Any

import pytest

from wallet.proofs.faults.catalogue import FAULTS
from wallet.proofs.faults.play import play

pytestmark = pytest.mark.xdist_group("faults")
LONG = {"T24"}  # made of the others
TOGETHER = [name for name in FAULTS if name not in LONG]


@pytest.fixture(scope="session")
def outcomes() -> dict[str, dict[str, Any]]:
    """One after the other in one process on servers of their own, for each would slow down its neighbour."""
    return dict(play({name: FAULTS[name].quick for name in TOGETHER}, seed=2026))


@pytest.mark.parametrize("name", TOGETHER)
def test_nothing_is_lost_doubled_or_unexplained(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    assert outcomes[name]["violations"] == []


@pytest.mark.parametrize("name", TOGETHER)
def test_the_fault_did_strike(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    if outcomes[name]["skipped"]:
        pytest.skip(outcomes[name]["note"])
    assert outcomes[name]["count"] >= outcomes[name]["least"] >= 1


@pytest.mark.parametrize(
    ("name", "strikes"), [("T3", 1000), ("T4", 200), ("T5", 1000), ("T9", 20), ("T10", 5), ("T16", 5), ("T23", 20)]
)
def test_a_run_of_ten_minutes_is_red_below_the_promised_number_of_strikes(name: str, strikes: int) -> None:
    fault = FAULTS[name]

    assert fault.least(fault.seconds(600)) == strikes
