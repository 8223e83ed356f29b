"""`manage.py bench`: how fast it is, as ratios to what PostgreSQL or the machine itself does in the same run."""

import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from dev.bench import markdown_report
from dev.bench.catalogue import BENCHES
from dev.bench.results import COLUMNS
from dev.bench.run import run_benches
from dev.management.commands.prove_claims import raise_interrupt
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int

ROUNDS, QUICK_ROUNDS = 5, 2
DOCS = Path(__file__).resolve().parents[3] / "docs"


class Command(BaseCommand):
    """Run the measurements on servers of their own, and print what they came to beside the targets."""

    help = (
        "Measure: claims, lists, the sweep, issuing, the ownership file, each beside a yardstick in the same run. Everything"
        " happens on servers of its own; the real database is not touched. A missed target is said, and is no error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="some of " + ", ".join(BENCHES) + " (default: all)")
        parser.add_argument("--rounds", type=positive_int, metavar="N", help=f"rounds of each (default: {ROUNDS})")
        parser.add_argument("--quick", action="store_true", help="small tables, short loads, few rounds: only a look")
        parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md from this run, which must be of all")
        parser.add_argument("--list", action="store_true", help="say what can be measured, and measure nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            output.write_table(self.stdout, ("bench", "what"), [(name, bench.what) for name, bench in BENCHES.items()])
            return
        names = self.chosen(options["names"], write=options["write"])
        quick = options["quick"]
        rounds = options["rounds"] or (QUICK_ROUNDS if quick else ROUNDS)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, raise_interrupt)
        results = list(run_benches(names, rounds, quick=quick, tell=self.stderr.write))
        output.write_table(self.stdout, COLUMNS, markdown_report.figure_rows(results), right=COLUMNS[2:6])
        if options["write"]:
            self.stdout.write(f"Written to {markdown_report.write_page(results, DOCS, rounds=rounds, quick=quick)}.")
        if broke := [result.bench for result in results if result.broke]:
            raise CommandError(f"Not measured: {', '.join(broke)}.")

    def chosen(self, names: list[str], *, write: bool) -> list[str]:
        """Return what to measure; raise CommandError for a name that there is not."""
        if unknown := [name for name in names if name not in BENCHES]:
            raise CommandError(f"There is no {', '.join(unknown)}; there are {', '.join(BENCHES)}.", returncode=2)
        if write and names:
            raise CommandError("The page tells of one run of all: leave out the names, or --write.", returncode=2)
        return names or list(BENCHES)
