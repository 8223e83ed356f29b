"""`manage.py prove_cluster`: failovers of a cluster of five hosts while clients claim and pay."""

import secrets
import signal
import threading
import time
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from dev.cluster import cluster_report
from dev.cluster.cluster_report import COLUMNS, FIGURES
from dev.cluster.faults import FAULTS
from dev.cluster.launch import launch_cluster
from dev.cluster.needs import NoCluster, find_programs
from dev.management.commands.prove_claims import raise_interrupt, refuse_unwritable
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int

REPORT = Path(__file__).resolve().parents[3] / "docs/cluster.md"
QUICK_MINUTES = 5  # a run of fewer minutes has the quick faults only
CONTROL = "control"
SHOWN = 10  # violations


class Command(BaseCommand):
    """Build a cluster from the files of deploy/, break it, print a table, and exit with 1 on any violation."""

    help = (
        "Build a cluster of three databases and two web hosts in network namespaces (Linux, root), from the files of deploy/,"
        " and break it while clients claim and pay. Elsewhere it says why it is skipped. The exit code is 1 on any violation."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--minutes", type=float, default=10, help="below 5: the quick faults only (default: %(default)s)")
        parser.add_argument("--seed", type=positive_int, help="reuse an earlier seed")
        parser.add_argument("--only", type=cluster_faults, metavar="T40,T41", help=f"any of {', '.join(FAULTS)}, {CONTROL}")
        parser.add_argument(
            "--write", type=Path, nargs="?", const=REPORT, metavar="FILE", help="write a report (default: docs/cluster.md)"
        )
        parser.add_argument("--logs", type=Path, metavar="FOLDER", help="save the hosts' logs there")

    def handle(self, *args: Any, **options: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, raise_interrupt)
        try:
            programs = find_programs()
        except NoCluster as reason:
            self.stdout.write(reason.message)
            return
        if options["write"]:
            refuse_unwritable(options["write"])
        if options["logs"]:
            options["logs"].mkdir(parents=True, exist_ok=True)
        seed = options["seed"] or secrets.randbelow(10**9) + 1
        names = options["only"] or chosen_faults(options["minutes"])
        self.stdout.write(f"Seed {seed}. {', '.join(names)}.")
        begun = time.monotonic()
        result = launch_cluster(names, seed, self.show_step, options["logs"])
        self.report(result, seed)
        if options["write"]:
            versions = cluster_report.program_versions(programs.paths)
            page = cluster_report.report_page(result, seed, time.monotonic() - begun, versions)
            options["write"].write_text(page)
            self.stdout.write(f"Written to {options['write']}.")
        if failed := cluster_report.failures(result):
            raise CommandError(f"FAILED: {', '.join(failed)}. Seed {seed}.")
        self.stdout.write(self.style.SUCCESS(f"OK: nothing acknowledged was lost or doubled. Seed {seed}."))

    def show_step(self, name: str) -> None:
        """Print what begins."""
        self.stderr.write(f"{name}: {FAULTS[name].what} …" if name in FAULTS else f"{name} …")

    def report(self, result: dict[str, Any], seed: int) -> None:
        """Print the table and the first violations."""
        for violation in result["violations"][:SHOWN]:
            self.stdout.write(f"{violation['invariant']}: {violation['sentence']}")
        rows = [*result["rows"], *([result["control"]] if result["control"] else [])]
        output.write_table(self.stdout, COLUMNS, [cluster_report.table_cells(row) for row in rows], right=FIGURES)
        if result["control"]:
            self.stdout.write(f"After the control the checker alone sees {result['unseen']} violations.")
            self.stdout.write(f"The exported seals: {result['lost_seals'] or 'none is gone'}.")


def chosen_faults(minutes: float) -> list[str]:
    """Return the faults of a run of so many minutes, and the control."""
    return [*(name for name, fault in FAULTS.items() if fault.quick or minutes >= QUICK_MINUTES), CONTROL]


def cluster_faults(text: str) -> list[str]:
    """Read names of faults, for argparse."""
    wanted = [name.strip() for name in text.split(",")]
    if unknown := [name for name in wanted if name not in (*FAULTS, CONTROL)]:
        raise ArgumentTypeError(f"unknown fault: {', '.join(unknown)}; choose from {', '.join(FAULTS)}, {CONTROL}")
    return wanted
