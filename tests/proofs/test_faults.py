"""Short runs of every fault: green, and the fault did strike."""

from typing import Any

import pytest

from wallet.proofs.faults.catalogue import FAULTS
from wallet.proofs.faults.play import play

pytestmark = pytest.mark.xdist_group("faults")
TOGETHER = [name for name in FAULTS if name != "T24"]  # the soak is made of the others


@pytest.fixture(scope="session")
def outcomes() -> dict[str, dict[str, Any]]:
    """One after the other in one process on servers of their own, for each would slow down its neighbour."""
    return dict(play({name: FAULTS[name].quick for name in TOGETHER}, seed=2026))


@pytest.mark.parametrize("name", TOGETHER)
def test_nothing_is_lost_doubled_or_unexplained(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    assert outcomes[name]["violations"] == []


@pytest.mark.parametrize("name", TOGETHER)
def test_the_fault_did_strike(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    assert outcomes[name]["count"] >= outcomes[name]["least"] >= 1
