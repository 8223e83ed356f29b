"""`manage.py seal_ledger`: seal closed entries, and export seals."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from wallet.actions import seal_ledger
from wallet.actions.export_seals import SealExportFailed, export_seals
from wallet.ledger import signing
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
            try:
                export = export_seals(options["export"])
            except SealExportFailed as error:
                raise CommandError(str(error)) from error
            self.stdout.write(f"Exported {export.count} seals to {options['export']}.")
            if export.malformed:
                raise CommandError(f"Not exported because malformed: {', '.join(f'seal {seq}' for seq in export.malformed)}.")
