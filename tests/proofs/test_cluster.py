"""The proof of the cluster: its figures, its report, and why it is skipped. (The cluster itself: `make prove-cluster`.)"""

import os
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from dev.cluster import cluster_report, faults, needs
from dev.cluster.measure import acknowledged, count_status, count_unanswered, longest_gap, within
from dev.management.commands import prove_cluster
from wallet.verification.claim_log import Attempt, Outcome

RIGHT: dict[str, Any] = {
    **{"name": "T41", "what": "PostgreSQL of the primary killed", "outage": 3.2, "bound": 5.0, "claims": 900, "payments": 70},
    **{"lost": 0, "doubled": 0, "errors": 0, "busy": 12, "unanswered": 3},
}
CONTROL = RIGHT | {"name": "control", "lost": 41, "outage": 22.0, "bound": 35.0}


def attempt(ended: float, outcome: Outcome = "ok", status: int | None = 201, key: str = "k") -> Attempt:
    return Attempt("a", "pool", "p", "u", f"{key}{ended}", ended - 0.1, ended, outcome, status, str(status))


def test_the_outage_is_the_longest_time_without_a_success() -> None:
    log = [attempt(1.0), attempt(1.5), attempt(2.0, "refused", 503), attempt(6.0), attempt(6.2), attempt(30.0)]

    assert longest_gap(log, 1.2, 7.0) == 4.5
    assert longest_gap(log, 7.0, 20.0) == 13.0
    assert [found.ended for found in within(log, 1.5, 6.0)] == [1.5, 2.0, 6.0]


def test_answers_are_counted_by_kind() -> None:
    log = [
        attempt(1.0),
        attempt(2.0, "refused", 503),
        attempt(3.0, "unknown", 500),
        attempt(4.0, "unknown", None),
        attempt(1.0),
    ]

    assert (count_status(log, busy=True), count_status(log, busy=False), count_unanswered(log)) == (1, 1, 1)
    assert acknowledged(log) == 1


@pytest.mark.parametrize("wrong", [{"lost": 1}, {"doubled": 1}, {"errors": 1}, {"outage": 5.1}, {"claims": 0}, {"payments": 0}])
def test_a_fault_is_red_for_each_promise_that_it_breaks(wrong: dict[str, Any]) -> None:
    assert cluster_report.failures(
        {"rows": [RIGHT | wrong], "control": CONTROL, "violations": [], "reads": 90, "stale": 0}
    ) == ["T41"]


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        ({"rows": [RIGHT], "control": CONTROL, "violations": [], "reads": 90, "stale": 0}, []),
        ({"rows": [RIGHT], "control": None, "violations": [], "reads": 90, "stale": 0}, []),
        ({"rows": [RIGHT], "control": CONTROL | {"lost": 0}, "violations": [], "reads": 90, "stale": 0}, ["control"]),
        (
            {"rows": [RIGHT], "control": CONTROL, "violations": [{"invariant": "I1", "sentence": "two"}], "stale": 0},
            ["checker"],
        ),
        ({"rows": [RIGHT], "control": CONTROL, "violations": [], "stale": 1}, ["own reads"]),
    ],
)
def test_a_run_is_red_when_the_control_loses_nothing_or_the_checker_objects(result: dict[str, Any], failed: list[str]) -> None:
    assert cluster_report.failures(result) == failed


def test_the_page_has_every_fault_and_what_the_seals_say() -> None:
    result = {
        "rows": [RIGHT],
        "control": CONTROL,
        "violations": [],
        "reads": 90,
        "stale": 0,
        "unseen": 0,
        "lost_seals": "seals 7 to 9 are gone",
    }

    page = cluster_report.report_page(result, 42, 600, "PostgreSQL 18.4")

    assert "| T41 | PostgreSQL of the primary killed | 3.2 | 5 | 900 | 70 | 0 | 0 | 0 | 12 | 3 | ok |" in page
    assert "10.0 minutes · seed 42" in page
    assert "41 acknowledged claims were lost" in page
    assert "seals 7 to 9 are gone." in page


def test_a_short_run_has_the_quick_faults_and_the_control() -> None:
    quick, whole = prove_cluster.chosen_faults(3), prove_cluster.chosen_faults(10)

    assert quick == ["T40", "T41", "T42", "T43", "T45", "control"]
    assert set(whole) == {*faults.FAULTS, "control"}


@pytest.mark.parametrize(("platform", "user"), [("darwin", 0), ("linux", 1000)])
def test_elsewhere_it_says_why_it_is_skipped(monkeypatch: pytest.MonkeyPatch, platform: str, user: int) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    out = StringIO()

    call_command("prove_cluster", stdout=out)

    assert out.getvalue() == "Skipped: network namespaces need Linux and root.\n"


def test_programs_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(needs, "FOLDERS_OF_ROOT", str(tmp_path))

    with pytest.raises(needs.NoCluster, match="not installed: etcd-server, haproxy, iproute2, pgbouncer, util-linux"):
        needs.find_programs()


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(CommandError, match="unknown fault: T99"):
        call_command("prove_cluster", "--only", "T99")
