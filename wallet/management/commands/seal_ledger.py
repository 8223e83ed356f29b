"""`manage.py seal_ledger`: seal closed entries, and export seals."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction

from wallet.actions import seal_ledger
from wallet.ledger import signing
from wallet.ledger.models import Seal
from wallet.management.base_command import BaseCommand


class Command(BaseCommand):
    help = (
        "Seal every closed entry of the ledger under a signed Merkle root. The scheduler does this every few seconds. "
        "--export keeps a copy outside the database, with which verify_ledger --roots detects even a rewritten chain."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options."""
        parser.add_argument("--export", type=Path, metavar="FILE", help="append the missing seals to FILE as JSON lines")
        parser.add_argument("--dry-run", action="store_true", help="only count the entries that would be sealed")
        parser.add_argument("--public-key", action="store_true", help="print the public key of the signatures and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        """Seal, and export if requested."""
        if options["public_key"]:
            self.stdout.write(signing.public_key().hex())
            return
        if options["dry_run"]:
            self.stdout.write(f"Would seal {seal_ledger.closed_entries().count()} entries.")
            return
        seals = seal_ledger.seal_all()
        self.stdout.write(f"Sealed {sum(seal.count for seal in seals)} entries under {len(seals)} new seals.")
        if options["export"]:
            count, malformed = export_seals(options["export"])
            self.stdout.write(f"Exported {count} seals to {options['export']}.")
            if malformed:
                raise CommandError(f"Not exported because malformed: {', '.join(f'seal {seq}' for seq in malformed)}.")


def export_seals(file: Path) -> tuple[int, list[int]]:
    """Append the missing seals to the file; return their number, and the numbers of malformed seals.

    Raises CommandError when the file cannot be read or written.
    """
    try:
        last = last_line(file)["seq"] if file.exists() and file.stat().st_size else 0
        missing = Seal.objects.filter(seq__gt=last).order_by("seq")
        malformed = [seq for seq, _ in missing.malformed()]
        seals = missing.well_formed().defer("leaves").iterator()
        # In a transaction, which keeps its session and with it the cursor, also behind a pooler.
        with file.open("a") as lines, transaction.atomic():
            return sum(bool(lines.write(json.dumps(signing.published_seal(seal)) + "\n")) for seal in seals), malformed
    except (OSError, ValueError, KeyError) as error:
        raise CommandError(f"Cannot append to {file}: {error}") from error


def last_line(file: Path) -> dict[str, Any]:
    """Return the last seal of a file of JSON lines."""
    with file.open() as lines:
        *_, last = lines
    return dict(json.loads(last))
