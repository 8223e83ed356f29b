"""`manage.py grant`: grant credits of a pool to the users of a file."""

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from wallet.actions.grant_batch import GrantOrder
from wallet.actions.grant_file import GrantFile, grant_file
from wallet.actions.grant_lines import Outcome
from wallet.actions.preview_grants import count_credits_for
from wallet.assets.models import CreditPool
from wallet.ledger.models import Grant
from wallet.management import output
from wallet.management.base_command import BaseCommand

SENTENCES = {Outcome.GRANTED.value: "granted", Outcome.ALREADY_GRANTED.value: "granted before"}


class Command(BaseCommand):
    """Grants one credit per line and writes what became of each line. Ctrl-C stops it; what it granted stays."""

    help = (
        "Grant one credit of a pool to each line of a CSV file (UTF-8) with the columns user (id or email) and reference, at"
        " most 1,000,000 lines. A reference grants once: run the same file again after an interruption. The report is a CSV"
        " file with the outcome of each line, its claim, or the code of its refusal."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--file", metavar="FILE", type=Path, required=True, help="must be a regular file")
        parser.add_argument("--pool", metavar="NAME", required=True)
        parser.add_argument("--reason", metavar="TEXT", required=True, help="recorded with each grant, at most 20 characters")
        parser.add_argument(
            "--report", metavar="FILE", type=Path, help="where to write the report (default: FILE.report.csv); overwritten"
        )
        parser.add_argument("--dry-run", action="store_true", help="change nothing, and report what would be granted")

    def handle(
        self, *args: Any, file: Path, pool: str, reason: str, report: Path | None, dry_run: bool, **options: Any
    ) -> None:
        if not file.is_file():
            raise CommandError(f"{file} is not a regular file.", returncode=2)
        found = CreditPool.objects.named(pool).first()
        if found is None:
            raise CommandError(f'Pool not found: "{pool}".', returncode=2)
        order = GrantOrder(found.pk, Grant._meta.get_field("reason").clean(reason.strip(), None))
        lines = GrantFile(file)
        target = report or file.with_name(f"{file.name}.report.csv")
        try:
            counts = self.run_file(lines, order, target, dry_run)
        except OSError as error:
            raise CommandError(f"Cannot use {error.filename or file} ({error.strerror}).", returncode=2) from None
        self.write_summary(counts, target, dry_run)
        if dry_run:
            self.warn_of_missing_credits(order, counts)

    def run_file(self, lines: GrantFile, order: GrantOrder, target: Path, dry_run: bool) -> Counter[str]:
        """Grant the lines with a progress bar and write the report."""
        label = f"{'Checking' if dry_run else 'Granting'} {lines.path.name}, lines"
        total = lines.count
        with (
            target.open("w", encoding="utf-8", newline="") as report,
            output.progress_bar(self.stderr, label, total) as advance,
        ):
            return grant_file(lines, order, report, dry_run=dry_run, progress=advance)

    def write_summary(self, counts: Counter[str], target: Path, dry_run: bool) -> None:
        """Write how many lines had which outcome."""
        refused = {code: count for code, count in sorted(counts.items()) if code not in SENTENCES}
        parts = [f"{counts[name]:,} {sentence}" for name, sentence in SENTENCES.items()]
        parts.append(f"{sum(refused.values()):,} refused")
        codes = f" ({', '.join(f'{count:,} {code}' for code, count in refused.items())})" if refused else ""
        done = " (dry run, nothing changed)" if dry_run else ""
        total = output.count_noun(counts.total(), "line")
        self.stdout.write(self.style.SUCCESS(f"{total}: {', '.join(parts)}{codes}{done}. Report: {target}"))

    def warn_of_missing_credits(self, order: GrantOrder, counts: Counter[str]) -> None:
        """Warn when the pool has fewer credits than lines would be granted."""
        wanted = counts[Outcome.GRANTED.value]
        available = count_credits_for(order.pool_id, wanted)
        if available < wanted:
            self.stderr.write(
                f"The pool has {output.count_noun(available, 'credit')} to grant now, and {wanted:,} would be granted."
            )
