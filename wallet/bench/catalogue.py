"""Every measurement there is."""

from collections.abc import Callable
from dataclasses import dataclass

from wallet.bench import supply
from wallet.bench.bed import Bed
from wallet.bench.figures import Figure


@dataclass(frozen=True)
class Bench:
    """One measurement: what it measures and beside what, in words and in deed."""

    what: str
    run: Callable[[Bed], list[Figure]]


BENCHES = {
    "issue": Bench("a million credits issued from a file by command, beside one raw COPY of the same rows", supply.issue),
}
