"""`manage.py expire_assets`: run the expiry sweep manually."""

from argparse import ArgumentParser
from typing import Any

from wallet.actions import expire_assets
from wallet.assets.models import CashbackAsset
from wallet.management import output
from wallet.management.base_command import BaseCommand, positive_int


class Command(BaseCommand):
    """Marks due credits EXPIRED; safe to run at any time, even concurrently with the scheduled sweep."""

    help = "Mark every credit past its expiry as EXPIRED. Safe to run repeatedly and concurrently with the scheduled sweep."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count the due credits")
        parser.add_argument(
            "--batch",
            type=positive_int,
            default=expire_assets.BATCH_SIZE,
            metavar="N",
            help="rows per transaction (default: %(default)s)",
        )

    def handle(self, *args: Any, dry_run: bool, batch: int, **options: Any) -> None:
        due = CashbackAsset.objects.due().count()
        if dry_run:
            self.stdout.write(f"{output.count_noun(due, 'credit')} would be marked EXPIRED (dry run, nothing changed).")
            return
        with output.progress_bar(self.stderr, "Expiring", due) as advance:
            count = expire_assets.expire_due(advance, batch)
        self.stdout.write(self.style.SUCCESS(f"{output.count_noun(count, 'credit')} marked EXPIRED."))
