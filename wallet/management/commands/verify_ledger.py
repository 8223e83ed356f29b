"""`manage.py verify_ledger`: check every invariant of the ledger and recompute every seal."""

import time
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Sum

from wallet.ledger.models import Entry, Seal
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int, whole_number
from wallet.verification.checker import Violation, snapshot_connection, verify_everything
from wallet.verification.enforcement import clock_ahead
from wallet.verification.published_seals import InvalidSealFile, published_seals
from wallet.verification.seals import is_late

MAX_SHOWN_VIOLATIONS = 20
# A sealer starts each minute and the scheduler polls each half minute, so the first seal after a restart may take this long.
WAIT_SECONDS = 90


class Command(BaseCommand):
    """Checks every invariant read-only and exits with 1 on any violation."""

    help = (
        "Read the whole ledger, recompute every seal and check every invariant; nothing is written. Reports the first altered"
        " rows and exits with 1. --roots compares with seals kept outside the database (seal_ledger --export)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", type=positive_int, default=1, metavar="SEQ", help="first seal to recompute (default: the first)"
        )
        parser.add_argument(
            "--wait",
            type=whole_number,
            default=WAIT_SECONDS,
            metavar="SECONDS",
            help="how long to wait for overdue seals before checking (default: %(default)s)",
        )
        parser.add_argument("--roots", type=Path, metavar="FILE", help="compare with the seals in this file")

    def handle(self, *args: Any, **options: Any) -> None:
        self.check_since(options["since"])
        published = self.count_published(options["roots"])
        self.wait_for_seals(options["wait"])
        with snapshot_connection() as reader:
            if ahead := clock_ahead(reader):
                self.stdout.write(f"This is a sandbox: its test clock is {timedelta(seconds=ahead)} ahead.")
            total = Entry.objects.count()
            sealed = Seal.objects.filter(seq__gte=options["since"]).aggregate(leaves=Sum("count"))["leaves"] or 0
            with output.progress_bar(self.stderr, "Verifying, sealed claims and movements", sealed) as advance:
                violations = verify_everything(reader, since=options["since"], roots=options["roots"], progress=advance)
        self.report(violations, total, published)

    def check_since(self, since: int) -> None:
        """Raise CommandError when `since` is beyond the last seal."""
        last = Seal.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
        if since > last + 1:
            raise CommandError(f"--since {since} is beyond the last seal, {last}.", returncode=2)

    def wait_for_seals(self, seconds: int) -> None:
        """Wait while seals are overdue, for at most `seconds`, as a restarted scheduler has a backlog."""
        deadline = time.monotonic() + seconds
        while is_late() and time.monotonic() < deadline:
            time.sleep(min(1, seconds))

    def count_published(self, file: Path | None) -> int:
        """Return the number of seals in the file; raise CommandError when it is not a file of seals."""
        try:
            return sum(1 for _ in published_seals(file)) if file else 0
        except InvalidSealFile as error:
            raise CommandError(f"Nothing was verified: {error}.", returncode=2) from error

    def report(self, violations: list[Violation], total: int, published: int) -> None:
        """Print the result; raise CommandError when there are violations."""
        if published:
            self.stdout.write(f"Compared with {output.count_noun(published, 'published seal')}.")
        if not violations:
            self.stdout.write(self.style.SUCCESS(f"OK: {total:,} ledger {'entry' if total == 1 else 'entries'} verified."))
            return
        for violation in violations[:MAX_SHOWN_VIOLATIONS]:
            self.stdout.write(str(violation))
        if len(violations) > MAX_SHOWN_VIOLATIONS:
            self.stdout.write(f"… and {len(violations) - MAX_SHOWN_VIOLATIONS:,} more")
        raise CommandError(f"FAILED: {output.count_noun(len(violations), 'violation')} found.")
