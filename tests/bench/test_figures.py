"""Figures of a benchmark and their page; nothing is measured here."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from dev.bench import markdown_report, pgbench
from dev.bench.catalogue import BENCHES
from dev.bench.environment import MAX_REPEATS, BenchEnvironment, RoundDisturbed
from dev.bench.plot import render_bars
from dev.bench.results import Figure, format_figure
from dev.bench.run import Result, parse_figure
from dev.chaos.test_servers import servers_in
from dev.services import binaries
from wallet.assets.models import CreditPool

CLAIMS = Figure("claims <32>", 0.3, "more", [(40, 100), (10, 100), (35, 100)], "claims/s", "a | b")
SLOW = Figure("page 10,000", 1.5, "less", [(30, 10), (20, 10)], "ms")


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    slowed_down = Figure("x", 0.5, "more", [(80, 100), (8, 10), (50, 100)], "rows/s")

    assert slowed_down.ratio == 0.8
    assert (slowed_down.measured, slowed_down.yardstick) == (50, 100)


@pytest.mark.parametrize(("better", "ratio", "reached"), [("more", 0.5, True), ("more", 0.49, False), ("less", 0.51, False)])
def test_a_target_is_reached_from_its_own_side(better: str, ratio: float, reached: bool) -> None:
    assert Figure("x", 0.5, better, [(ratio, 1)], "s").reached is reached  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "written"), [(1234567.8, "1,234,568"), (123.4, "123"), (12.34, "12.3"), (0.01234, "0.0123")]
)
def test_figures_are_written_as_far_as_they_mean_something(number: float, written: str) -> None:
    assert format_figure(number) == written


def test_the_two_sides_take_turns_at_going_first() -> None:
    order: list[str] = []
    rounds = environment(rounds=3).alternate(lambda: order.append("A") or "a", lambda: order.append("B") or "b")  # type: ignore[func-returns-value]

    assert rounds == [("a", "b")] * 3
    assert order == ["A", "B", "B", "A", "A", "B"]


def environment(rounds: int = 1) -> BenchEnvironment:
    return BenchEnvironment(servers_in(Path("/tmp")), rounds=rounds, quick=True)


@pytest.mark.parametrize(
    "disturbance", [RoundDisturbed("3 of 9 requests answered 503"), OperationalError("statement timeout"), TimeoutError()]
)
def test_a_disturbed_round_is_repeated_with_a_remark(disturbance: Exception) -> None:
    bench, failures = environment(), [disturbance]

    def measured() -> float:
        if failures:
            raise failures.pop()
        return 3.0

    assert bench.alternate(measured, lambda: 4.0) == [(3.0, 4.0)]
    assert bench.remarks == [f"a round was repeated ({type(disturbance).__name__}: {disturbance})"]


def test_a_round_that_is_disturbed_each_time_fails_the_measurement() -> None:
    bench, runs = environment(), list[int]()

    def measured() -> float:
        runs.append(1)
        raise RoundDisturbed("answered 503")

    with pytest.raises(RoundDisturbed):
        bench.alternate(measured, lambda: 4.0)

    assert len(runs) == 1 + MAX_REPEATS


def test_a_round_that_stays_disturbed_is_left_out_when_others_remain() -> None:
    bench, failures = environment(rounds=3), [TimeoutError("late")] * (1 + MAX_REPEATS)

    def measured() -> float:
        if failures:
            raise failures.pop()
        return 3.0

    assert bench.alternate(measured, lambda: 4.0) == [(3.0, 4.0)] * 2
    assert bench.remarks == ["a round was repeated (TimeoutError: late)"] * 2 + ["round 1 was left out (TimeoutError: late)"]


def test_a_round_whose_cpu_was_stolen_is_repeated_and_then_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bench, stat = environment(), tmp_path / "stat"
    stat.write_text("cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 …")
    monkeypatch.setattr("dev.bench.environment.PROC_STAT", stat)
    stolen = [50, 20, 5]

    def measured() -> int:
        left = stolen.pop(0)
        ticks = [int(number) for number in stat.read_text().split()[1:9]]
        stat.write_text(f"cpu  {ticks[0] + 100 - left} 0 0 0 0 0 0 {ticks[7] + left} 0 0\n")
        return left

    assert bench.alternate(measured, lambda: 1) == [(5, 1)]
    assert bench.remarks == [
        "a round was repeated (RoundDisturbed: the host took 50% of the CPU)",
        "a round was repeated (RoundDisturbed: the host took 20% of the CPU)",
    ]


def test_statements_that_prepare_a_benchmark_have_no_time_limit() -> None:
    code = (
        "from dev.bench.django_setup import set_up_django; set_up_django(); from django.db import connection; import os;"
        "cursor = connection.cursor(); names = ('statement', 'lock', 'idle_in_transaction_session');"
        "[print(cursor.execute(f'SHOW {name}_timeout').fetchone()[0]) for name in names];"
        "print({'STATEMENT_TIMEOUT_MS', 'LOCK_TIMEOUT_MS'} & os.environ.keys())"
    )
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": "cashback.settings"}

    shown = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True).stdout

    assert shown.splitlines() == ["0", "0", "0", "set()"]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("ERROR:  canceling statement due to statement timeout", RoundDisturbed),
        ('connection to server on socket "/nowhere" failed: Connection refused', RoundDisturbed),
        ("ERROR:  relation does not exist", RuntimeError),
    ],
)
def test_pgbench_that_fails_on_a_busy_machine_is_a_disturbance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, message: str, error: type[Exception]
) -> None:
    program = tmp_path / "bin/pgbench"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{message}' >&2\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setattr(binaries, "postgres_wheel", lambda: tmp_path)
    monkeypatch.setattr(pgbench, "write_todo", lambda pool: None)

    with pytest.raises(error, match="pgbench"):
        pgbench.claims_a_second("SELECT 1;", CreditPool(), 32, 32)


def test_a_wrong_answer_is_no_disturbance() -> None:
    bench = environment()

    def measured() -> float:
        raise RuntimeError("unexpected statuses: {500: 1}")

    with pytest.raises(RuntimeError):
        bench.alternate(measured, lambda: 4.0)

    assert bench.remarks == []


def test_the_page_shows_missed_targets_and_failed_measurements(tmp_path: Path) -> None:
    first, second = list(BENCHES)[:2]

    page = markdown_report.write_page(
        [Result(first, [CLAIMS, SLOW]), Result(second, [], "it fell")], tmp_path, rounds=3, quick=True
    )

    said = page.read_text()
    assert "| claims <32> | ≥ 0.30 | 0.35 | 35 | 100 | claims/s | reached | a \\| b |" in said
    assert "| page 10,000 | ≤ 1.50 | 2.50 | 25 | 10 | ms | MISSED |" in said
    assert "| FAILED | it fell |" in said
    assert "1 of 2 reached, 1 missed, 1 measurements failed" in said
    assert "3 rounds; small tables and short loads" in said
    assert sorted(path.name for path in (tmp_path / "benchmarks").iterdir()) == [f"{first}.svg", "results.json"]


def test_a_single_measurement_replaces_its_own_figures_only(tmp_path: Path) -> None:
    first, second = list(BENCHES)[:2]
    markdown_report.write_page([Result(first, [CLAIMS]), Result(second, [], "it fell")], tmp_path, rounds=3, quick=True)

    page = markdown_report.write_page([Result(second, [SLOW])], tmp_path, rounds=5, quick=False)

    said = page.read_text()
    assert "1 of 2 reached, 1 missed, 0 measurements failed" in said
    assert said.index("| claims <32>") < said.index("| page 10,000")
    assert re.search(rf"\*\*{first}\*\*: .*, 3 rounds; small tables", said)
    assert re.search(rf"\*\*{second}\*\*: .*, 5 rounds\)", said)


def test_a_measurement_that_is_no_longer_made_leaves_the_page(tmp_path: Path) -> None:
    data = tmp_path / "benchmarks" / "results.json"
    data.parent.mkdir()
    data.write_text('[{"bench": "gone", "figures": [], "error": "it fell", "conditions": ""}]')

    assert "it fell" not in markdown_report.write_page([], tmp_path, rounds=3, quick=False).read_text()


def test_a_plot_is_drawn_for_light_and_dark() -> None:
    drawn = render_bars("claims & more", [CLAIMS, SLOW])

    root = ElementTree.fromstring(drawn)
    assert [each.get("class") for each in root.iter("{http://www.w3.org/2000/svg}rect")] == ["ground", "good", "bad"]
    assert "prefers-color-scheme: dark" in drawn
    assert "Claims &amp; more" in drawn


def test_a_figure_comes_whole_out_of_its_process() -> None:
    through_json = {**CLAIMS.__dict__, "rounds": [list(pair) for pair in CLAIMS.rounds]}

    assert parse_figure(through_json) == CLAIMS


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "Unknown measurement: nothing"),
        (["claims", "--before", "no-such-revision"], "Revision no-such-revision is not in the history"),
        (["--before", "HEAD", "--write"], "the default revision"),
    ],
)
def test_a_wrong_command_line_measures_nothing(arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        call_command("bench", *arguments)

    assert refused.value.returncode == 2


def test_what_can_be_measured_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("bench", "--list")

    said = capsys.readouterr().out
    assert all(name in said for name in BENCHES)
