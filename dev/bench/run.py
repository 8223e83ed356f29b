"""Measurements in a process of their own, on test servers of their own."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dev.bench.results import Figure
from dev.chaos.run import run_module


@dataclass(frozen=True)
class Result:
    """The result of one measurement; `error` says why it has no figures, `conditions` when and where it was made."""

    bench: str
    figures: list[Figure]
    error: str = ""
    conditions: str = ""


def run_benches(
    names: Sequence[str],
    rounds: int,
    *,
    quick: bool,
    before: str | None = None,
    report_progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Result]:
    """Run the named measurements and yield the result of each.

    Arguments:
        rounds: the number of rounds of each.
        quick: with small tables and short loads.
        before: the revision to compare with; None for the default.
        report_progress: called with a line for each step.

    Raises RaceFailed.
    """
    bench = ""
    options = {"names": names, "rounds": rounds, "quick": quick, "before": before}
    for _, message in run_module("dev.bench", json.dumps(options)):
        if "figures" in message:
            yield Result(message["bench"], [parse_figure(found) for found in message["figures"]], message.get("error", ""))
        else:
            bench = message.get("begins", bench)
            report_progress(f"{bench}: {message.get('now', 'started')}")


def parse_figure(found: dict[str, object]) -> Figure:
    """Return the figure that went through JSON."""
    rounds = [(measured, yardstick) for measured, yardstick in found["rounds"]]  # type: ignore[attr-defined]
    return Figure(**found | {"rounds": rounds})  # type: ignore[arg-type]
