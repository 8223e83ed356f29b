"""`manage.py open_lots`: make the credits of earlier claims spendable after an upgrade."""

from argparse import ArgumentParser
from typing import Any

from wallet.actions import open_lots
from wallet.ledger.models import Entry, LotBackfill
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int


class Command(BaseCommand):
    """Opens the lots of claims from before lots existed; safe to interrupt and to run concurrently."""

    help = (
        "Make the credits of earlier claims spendable after an upgrade. The scheduler does this too. Payments answer 503 until "
        "it is complete; claims go on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--batch",
            type=positive_int,
            default=open_lots.BATCH_SIZE,
            metavar="N",
            help="claims per transaction, at most 10000 (default: %(default)s)",
        )

        parser.add_argument("--dry-run", action="store_true", help="only count the claims that wait for it")

    def handle(self, *args: Any, batch: int, dry_run: bool, **options: Any) -> None:
        if dry_run:
            waiting = Entry.objects.filter(lot=None).count()
            self.stdout.write(f"{output.count_noun(waiting, 'claim')} would be made spendable (dry run, nothing changed).")
            return
        open_lots.open_lots(batch_size=min(batch, 10_000))
        opened = sum(LotBackfill.objects.values_list("opened", flat=True))
        self.stdout.write(self.style.SUCCESS(f"Complete: {output.count_noun(opened, 'earlier claim')} made spendable."))
