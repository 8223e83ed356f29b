"""Every measurement there is."""

from collections.abc import Callable
from dataclasses import dataclass

from wallet.bench import claiming, files, hot, lists, profiling, supply, sweep, verifying
from wallet.bench.bed import Bed
from wallet.bench.figures import Figure


@dataclass(frozen=True)
class Bench:
    """One measurement: what it measures and beside what, in words and in deed."""

    what: str
    run: Callable[[Bed], list[Figure]]


BENCHES = {
    "claims": Bench("claims of distinct credits over HTTP, beside pgbench and beside the code before", hot.claims),
    "pool": Bench("claims of any credit of one hot pool over HTTP, beside pgbench", hot.hot_pool),
    "stampede": Bench("500 users at one credit, beside as many who ask who they are", hot.stampede),
    "steps": Bench("the CPU that a claim costs in Python, step by step, beside the code before", hot.steps),
    "profile": Bench("the profile of one claim: what its CPU in Python goes to, beside the code before", profiling.profile),
    "large": Bench("claims over HTTP on 5,000,000 assets and 2,000,000 entries, beside 10,000 and 4,000", claiming.large),
    "lists": Bench("lists and pages over HTTP on 5,000,000 assets and 2,000,000 entries, beside 10,000 and 4,000", lists.lists),
    "sweep": Bench("the sweep of a million due credits beside one of 10,000, and claims beside the clock's sweep", sweep.sweep),
    "ownership": Bench("the ownership report of a million credits as a file over HTTP, beside COPY TO", files.ownership),
    "issue": Bench("a million credits issued from a file by command, beside one raw COPY of the same rows", supply.issue),
    "verify": Bench("verify_ledger on a million sealed entries: time and memory, beside what was promised", verifying.verify),
}
