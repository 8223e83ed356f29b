"""Run measurements in a process of their own, on servers of their own."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dev.bench.results import Figure
from dev.chaos.run import run_module


@dataclass(frozen=True)
class Result:
    """What one measurement came to; `broke` says why it has no figures."""

    bench: str
    figures: list[Figure]
    broke: str = ""


def run_benches(
    names: Sequence[str], rounds: int, *, quick: bool, tell: Callable[[str], None] = lambda _: None
) -> Iterator[Result]:
    """Run the named measurements and yield each one's result; `tell` hears what is going on. Raises RaceFailed."""
    bench = ""
    for _, word in run_module("dev.bench", json.dumps({"names": names, "rounds": rounds, "quick": quick})):
        if "figures" in word:
            yield Result(word["bench"], [parse_figure(found) for found in word["figures"]], word.get("broke", ""))
        else:
            bench = word.get("begins", bench)
            tell(f"{bench}: {word.get('now', 'begins')}")


def parse_figure(found: dict[str, object]) -> Figure:
    """Return the figure that went through JSON."""
    rounds = [(measured, yardstick) for measured, yardstick in found["rounds"]]  # type: ignore[attr-defined]
    return Figure(**found | {"rounds": rounds})  # type: ignore[arg-type]
