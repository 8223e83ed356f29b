"""`manage.py verify_ledger`: does the ledger hold what it promises, and does it still say what was sealed?"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from wallet.ledger.models import Entry
from wallet.management import screen
from wallet.management.door import Door, positive
from wallet.proofs.verify import Violation, fresh, verify

SHOWN = 20  # violations


class Command(Door):
    """Check every invariant on the real ledger, only reading, and exit 1 on any violation."""

    help = (
        "Read the whole ledger, recompute every seal and check every invariant; nothing is written. Names the first rows that"
        " are wrong and exits 1. --roots compares with seals that were kept outside the database (seal_ledger --export)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", type=positive, default=1, metavar="SEQ", help="first seal to recompute (default: the first)"
        )
        parser.add_argument("--roots", type=Path, metavar="FILE", help="compare with the seals in this file")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["roots"] and not options["roots"].is_file():
            raise CommandError(f"There is no file {options['roots']}.", returncode=2)
        with fresh() as reader:
            total = Entry.objects.count()
            with screen.progress(self.stderr, "Verifying, entries", total) as advance:
                found = verify(reader, since=options["since"], roots=options["roots"], progress=advance)
        self.judge(found, total)

    def judge(self, found: list[Violation], total: int) -> None:
        """Print the verdict; raise CommandError when it is red."""
        if not found:
            self.stdout.write(
                self.style.SUCCESS(f"GREEN: all is as promised, in {screen.counted(total, 'row')} of the ledger.")
            )
            return
        for violation in found[:SHOWN]:
            self.stdout.write(str(violation))
        if len(found) > SHOWN:
            self.stdout.write(f"… and {len(found) - SHOWN:,} more")
        raise CommandError(f"RED: {screen.counted(len(found), 'violation')} found.")
