"""`manage.py verify_ledger`: does the ledger hold what it promises, and does it still say what was sealed?"""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from wallet.ledger.models import Entry, Seal
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int
from wallet.verification.checker import Violation, snapshot_connection, verify_everything
from wallet.verification.published_seals import InvalidSealFile, published_seals
from wallet.verification.seals import is_late

SHOWN = 20  # violations
# The schedule starts a sealer each minute, and looks for what is due each half minute: so long may the first seal take after
# the scheduler was started again.
WAIT_SECONDS = 90


class Command(BaseCommand):
    """Check every invariant on the real ledger, only reading, and exit 1 on any violation."""

    help = (
        "Read the whole ledger, recompute every seal and check every invariant; nothing is written. Names the first rows that"
        " are wrong and exits 1. --roots compares with seals that were kept outside the database (seal_ledger --export)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", type=positive_int, default=1, metavar="SEQ", help="first seal to recompute (default: the first)"
        )
        parser.add_argument(
            "--wait",
            type=int,
            default=WAIT_SECONDS,
            metavar="SECONDS",
            help="how long entries that should be sealed by now may still take, before they are judged (default: %(default)s)",
        )
        parser.add_argument("--roots", type=Path, metavar="FILE", help="compare with the seals in this file")

    def handle(self, *args: Any, **options: Any) -> None:
        self.check_since(options["since"])
        published = self.published(options["roots"])
        self.wait_for_seals(options["wait"])
        with snapshot_connection() as reader:
            total = Entry.objects.count()
            with output.progress_bar(self.stderr, "Verifying, entries", total) as advance:
                found = verify_everything(reader, since=options["since"], roots=options["roots"], progress=advance)
        self.judge(found, total, published)

    def check_since(self, since: int) -> None:
        """Raise CommandError when there is no seal that the reading could begin after."""
        last = Seal.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
        if since > last + 1:
            raise CommandError(f"--since {since} leaves nothing to read: the last seal is {last}.", returncode=2)

    def wait_for_seals(self, seconds: int) -> None:
        """Wait while entries are late, at most so long: a scheduler that was just started seals what was left."""
        deadline = time.monotonic() + seconds
        while is_late() and time.monotonic() < deadline:
            time.sleep(min(1, seconds))

    def published(self, file: Path | None) -> int:
        """Return how many seals the file holds; raise CommandError when it is no file of seals."""
        try:
            return sum(1 for _ in published_seals(file)) if file else 0
        except InvalidSealFile as error:
            raise CommandError(f"Nothing was verified: {error}.", returncode=2) from error

    def judge(self, found: list[Violation], total: int, published: int) -> None:
        """Print the verdict; raise CommandError when there are violations."""
        if published:
            self.stdout.write(f"Compared with {output.count_noun(published, 'published seal')}.")
        if not found:
            entries = "entry" if total == 1 else "entries"
            self.stdout.write(self.style.SUCCESS(f"OK: {total:,} ledger {entries} verified."))
            return
        for violation in found[:SHOWN]:
            self.stdout.write(str(violation))
        if len(found) > SHOWN:
            self.stdout.write(f"… and {len(found) - SHOWN:,} more")
        raise CommandError(f"FAILED: {output.count_noun(len(found), 'violation')}.")
