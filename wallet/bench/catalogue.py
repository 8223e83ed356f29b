"""Every measurement there is."""

from collections.abc import Callable
from dataclasses import dataclass

from wallet.bench import lists, supply
from wallet.bench.bed import Bed
from wallet.bench.figures import Figure


@dataclass(frozen=True)
class Bench:
    """One measurement: what it measures and beside what, in words and in deed."""

    what: str
    run: Callable[[Bed], list[Figure]]


BENCHES = {
    "lists": Bench("lists over HTTP on 5,000,000 assets and 2,000,000 entries, beside 10,000 and 4,000", lists.lists),
    "issue": Bench("a million credits issued from a file by command, beside one raw COPY of the same rows", supply.issue),
}
