"""`manage.py prove`: everything that can be broken is broken while clients claim, and the checker judges."""

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
    """Run the faults on servers of their own, print a table, and exit 1 on any violation."""

    help = (
        "Break everything that can be broken while clients claim (sessions and workers killed, replies lost, servers stopped,"
        " a disk filled), on servers of its own; then check every invariant. The real database is not touched. Exit code 1 on"
        " any violation."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--minutes", type=float, default=0, help="how long in all (default: as short as shows something)")
        parser.add_argument("--seed", type=positive_int, help="throw the dice of an earlier run")
        parser.add_argument(
            "--only", type=fault_names, default=list(FAULTS), metavar="T3,T5", help="some of " + ", ".join(FAULTS)
        )
        parser.add_argument(
            "--write",
            type=Path,
            nargs="?",
            const=REPORT,
            metavar="FILE",
            help="write the page of this run (default: docs/proofs.md)",
        )
        parser.add_argument(
            "--generated",
            type=Path,
            nargs="+",
            default=[],
            metavar="FILE",
            help="tell of these tests too (pytest's --junitxml)",
        )
        parser.add_argument("--logs", type=Path, metavar="FOLDER", help="leave the clients' logs there, as JSON lines")

    def handle(self, *args: Any, **options: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, raise_interrupt)
        seed = options["seed"] or secrets.randbelow(10**9) + 1
        seconds = {name: FAULTS[name].seconds(60 * options["minutes"]) for name in options["only"]}
        for missing in (file for file in options["generated"] if not file.is_file()):
            raise CommandError(f"There is no file {missing}.", returncode=2)
        if options["write"]:
            refuse_unwritable(options["write"])
        if options["logs"]:
            options["logs"].mkdir(parents=True, exist_ok=True)
        self.stdout.write(
            f"Seed {seed}. {output.count_noun(len(seconds), 'fault')}, some {sum(seconds.values()) / 60:.1f} minutes."
        )
        begun = time.monotonic()
        rows = junit.junit_rows(options["generated"])
        for each in rows:
            self.tell(each)
        for name, outcome in run_faults(seconds, seed, self.begins, options["logs"]):
            rows.append(outcome_row(name, outcome))
            self.tell(rows[-1])
        rows.sort(key=markdown_report.row_order)
        output.write_table(self.stdout, COLUMNS, [each.cells() for each in rows], right=FIGURES)
        if options["write"]:
            facts = markdown_report.run_facts(seed, options["minutes"], time.monotonic() - begun)
            options["write"].write_text(markdown_report.markdown_page(rows, facts, seed, options["minutes"]))
            self.stdout.write(f"Written to {options['write']}.")
        if red := [each for each in rows if each.violations]:
            raise CommandError(f"RED: {', '.join(each.name for each in red)}. Seed {seed}.")
        self.stdout.write(self.style.SUCCESS(f"GREEN: nothing lost, nothing doubled, nothing unexplained. Seed {seed}."))

    def begins(self, name: str) -> None:
        """Say what is being done now."""
        self.stderr.write(f"{name}: {FAULTS[name].what} …")

    def tell(self, each: Row) -> None:
        """Say what was found wrong."""
        for sentence in each.violations[:SHOWN]:
            self.stdout.write(f"{each.name}: {sentence}")
        if len(each.violations) > SHOWN:
            self.stdout.write(f"{each.name}: … and {len(each.violations) - SHOWN:,} more")


def fault_names(text: str) -> list[str]:
    """Read names of faults, for argparse."""
    wanted = [name.strip().upper() for name in text.split(",")]
    if unknown := [name for name in wanted if name not in FAULTS]:
        raise ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    return wanted
