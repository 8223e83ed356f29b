"""`manage.py bench`: performance as ratios to what PostgreSQL or the machine itself does in the same run."""

import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from dev.bench import markdown_report
from dev.bench.catalogue import BENCHES
from dev.bench.git_revisions import BEFORE, NoHistory, short_commit
from dev.bench.results import COLUMNS
from dev.bench.run import Result, run_benches
from dev.management.commands.prove_claims import raise_interrupt
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int

ROUNDS, QUICK_ROUNDS = 5, 2
DOCS = Path(__file__).resolve().parents[3] / "docs"


class Command(BaseCommand):
    """Run the measurements on test servers, and print the results beside the targets."""

    help = (
        "Measure claims, lists, the sweep, issuing and the ownership file, each against a baseline in the same run. All of it"
        " runs on temporary servers; the real database is not touched. A missed target is reported and is not an error."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="any of " + ", ".join(BENCHES) + " (default: all)")
        parser.add_argument("--rounds", type=positive_int, metavar="N", help=f"rounds of each (default: {ROUNDS})")
        parser.add_argument("--quick", action="store_true", help="small tables, short loads, few rounds: a quick check")
        parser.add_argument(
            "--before", metavar="REV", help=f"revision to compare claims, pool, stampede and profile with (default: {BEFORE})"
        )
        parser.add_argument("--write", action="store_true", help="write the results into docs/benchmarks.md")
        parser.add_argument("--list", action="store_true", help="list the measurements and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            output.write_table(self.stdout, ("bench", "what"), [(name, bench.what) for name, bench in BENCHES.items()])
            return
        names = self.chosen_names(options["names"])
        before = self.chosen_revision(options["before"], write=options["write"])
        quick = options["quick"]
        rounds = options["rounds"] or (QUICK_ROUNDS if quick else ROUNDS)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, raise_interrupt)
        results: list[Result] = []
        try:
            results.extend(run_benches(names, rounds, quick=quick, before=before, report_progress=self.stderr.write))
        finally:  # an interrupted run shows and writes what it has measured
            if results:
                output.write_table(self.stdout, COLUMNS, markdown_report.figure_rows(results), right=COLUMNS[2:6])
            if results and options["write"]:
                self.stdout.write(f"Written to {markdown_report.write_page(results, DOCS, rounds=rounds, quick=quick)}.")
        if failed := [result.bench for result in results if result.error]:
            raise CommandError(f"Not measured: {', '.join(failed)}.")

    def chosen_names(self, names: list[str]) -> list[str]:
        """Return the measurements to run; raise CommandError for an unknown name."""
        if unknown := [name for name in names if name not in BENCHES]:
            raise CommandError(f"Unknown measurement: {', '.join(unknown)}. Choose from {', '.join(BENCHES)}.", returncode=2)
        return names or list(BENCHES)

    def chosen_revision(self, revision: str | None, *, write: bool) -> str | None:
        """Return the commit to compare with, None for the default; raise CommandError for an unknown revision."""
        if revision is None:
            return None
        if write:
            raise CommandError("--write compares with the default revision: omit --before.", returncode=2)
        try:
            return short_commit(revision)
        except NoHistory as error:
            raise CommandError(str(error), returncode=2) from None
