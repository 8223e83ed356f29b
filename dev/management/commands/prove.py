"""`manage.py prove`: fault injection while clients claim, followed by a check of every invariant."""

import secrets
import signal
import threading
import time
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from dev.chaos import junit, markdown_report
from dev.chaos.catalogue import FAULTS
from dev.chaos.markdown_report import COLUMNS, FIGURES, Row, outcome_row
from dev.chaos.run import run_faults
from dev.management.commands.prove_claims import raise_interrupt, refuse_unwritable
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int

SHOWN = 5  # violations of each fault
REPORT = Path(__file__).resolve().parents[3] / "docs/proofs.md"


class Command(BaseCommand):
    """Run the faults on test servers, print a table, and exit with 1 on any violation."""

    help = (
        "Inject faults while clients claim (kill sessions and workers, lose replies, stop servers, fill a disk) on temporary"
        " servers, then check every invariant. The real database is not touched. The exit code is 1 on any violation."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--minutes", type=float, default=0, help="total duration (default: shortest useful run)")
        parser.add_argument("--seed", type=positive_int, help="reuse an earlier seed")
        parser.add_argument(
            "--only",
            type=fault_names,
            default=list(FAULTS),
            metavar="T3,T5",
            help="any of " + ", ".join(FAULTS) + " (default: all)",
        )
        parser.add_argument(
            "--write",
            type=Path,
            nargs="?",
            const=REPORT,
            metavar="FILE",
            help="write a report of this run (default: docs/proofs.md)",
        )
        parser.add_argument(
            "--generated",
            type=Path,
            nargs="+",
            default=[],
            metavar="FILE",
            help="include these test results (pytest's --junitxml)",
        )
        parser.add_argument("--logs", type=Path, metavar="FOLDER", help="save the clients' logs there, as JSON lines")

    def handle(self, *args: Any, **options: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, raise_interrupt)
        seed = options["seed"] or secrets.randbelow(10**9) + 1
        seconds = {name: FAULTS[name].seconds(60 * options["minutes"]) for name in options["only"]}
        for missing in (file for file in options["generated"] if not file.is_file()):
            raise CommandError(f"File not found: {missing}.", returncode=2)
        if options["write"]:
            refuse_unwritable(options["write"])
        if options["logs"]:
            options["logs"].mkdir(parents=True, exist_ok=True)
        self.stdout.write(
            f"Seed {seed}. {output.count_noun(len(seconds), 'fault')}, about {sum(seconds.values()) / 60:.1f} minutes."
        )
        begun = time.monotonic()
        rows = junit.junit_rows(options["generated"])
        for row in rows:
            self.show_violations(row)
        try:
            for name, outcome in run_faults(seconds, seed, self.show_start, options["logs"]):
                rows.append(outcome_row(name, outcome))
                self.show_violations(rows[-1])
        finally:  # an interrupted run shows what it has found
            if rows:
                rows.sort(key=markdown_report.row_order)
                output.write_table(self.stdout, COLUMNS, [row.cells() for row in rows], right=FIGURES)
        if options["write"]:
            facts = markdown_report.run_facts(seed, options["minutes"], time.monotonic() - begun)
            options["write"].write_text(markdown_report.markdown_page(rows, facts, seed, options["minutes"]))
            self.stdout.write(f"Written to {options['write']}.")
        if failed := [row for row in rows if row.violations]:
            raise CommandError(f"FAILED: {', '.join(row.name for row in failed)}. Seed {seed}.")
        self.stdout.write(self.style.SUCCESS(f"OK: no claim lost, none duplicated, no unexplained result. Seed {seed}."))

    def show_start(self, name: str) -> None:
        """Print which fault starts."""
        self.stderr.write(f"{name}: {FAULTS[name].what} …")

    def show_violations(self, row: Row) -> None:
        """Print the first violations of a fault."""
        for sentence in row.violations[:SHOWN]:
            self.stdout.write(f"{row.name}: {sentence}")
        if len(row.violations) > SHOWN:
            self.stdout.write(f"{row.name}: … and {len(row.violations) - SHOWN:,} more")


def fault_names(text: str) -> list[str]:
    """Read names of faults, for argparse."""
    wanted = [name.strip().upper() for name in text.split(",")]
    if unknown := [name for name in wanted if name not in FAULTS]:
        raise ArgumentTypeError(f"unknown fault: {', '.join(unknown)}; choose from {', '.join(FAULTS)}")
    return wanted
