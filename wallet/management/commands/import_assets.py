"""`manage.py import_assets`: import credits from a CSV file."""

from argparse import ArgumentParser
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from wallet.actions import import_csv
from wallet.assets.models import CreditPool
from wallet.management import output
from wallet.management.base_command import BaseCommand
from wallet.money import format_amount


class Command(BaseCommand):
    """Checks the whole file, then issues all of its credits or none."""

    help = (
        "Issue the credits of a CSV file (UTF-8, columns title, total_value, currency, pool, expires_at in any order), all or"
        " none. expires_at: a date (end of day in the pool's time zone), a timestamp such as 2030-03-31T18:30:00Z, or blank for"
        " no expiry. currency: optional with a pool. pool: optional with a currency."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE.csv", help="must be a regular file")
        parser.add_argument("--pool", metavar="NAME", help="default pool for rows without one")
        parser.add_argument("--dry-run", action="store_true", help="only check the file")

    def handle(self, *args: Any, file: str, pool: str | None, dry_run: bool, **options: Any) -> None:
        path = readable_file(file)
        size = path.stat().st_size
        try:
            with output.progress_bar(self.stderr, f"Checking {path.name}, bytes", size) as advance:
                credit_file = import_csv.CreditFile(path, None, default_pool(pool), advance)
                contents = credit_file.check()
            if not dry_run:
                with output.progress_bar(self.stderr, f"Importing {path.name}, bytes", size) as advance:
                    import_csv.import_assets(replace(credit_file, progress=advance, expected=contents))
        except import_csv.FileRefused as refusal:
            raise CommandError(format_mistakes(path, refusal)) from refusal
        except OSError as error:
            raise CommandError(f"Cannot read {file} ({error.strerror}).", returncode=2) from None
        outcome = "would be imported (dry run, nothing changed)" if dry_run else "imported"
        self.stdout.write(
            self.style.SUCCESS(f"{output.count_noun(contents.count, 'credit')} {outcome}: {value_per_currency(contents)}.")
        )


def readable_file(name: str) -> Path:
    """Return the path of a regular file; raise CommandError when it is not one."""
    if name == "-":
        raise CommandError("FILE must be a regular file, as it is read twice; standard input is not supported.", returncode=2)
    path = Path(name)
    if not path.exists():
        raise CommandError(f"File not found: {name}.", returncode=2)
    if not path.is_file():
        raise CommandError(
            f"{name} is not a regular file. Folders, pipes and devices are not supported, as the file is read twice.",
            returncode=2,
        )
    return path


def default_pool(name: str | None) -> CreditPool | None:
    """Return the pool of the option --pool."""
    if name is None:
        return None
    pool = CreditPool.objects.named(name).first()
    if pool is None:
        raise CommandError(f'Pool not found: "{name}".', returncode=2)
    return pool


def format_mistakes(path: Path, refusal: import_csv.FileRefused) -> str:
    """Return the refusal and its errors, one per line."""
    more = refusal.count - len(refusal.mistakes)
    lines = [refusal.message, *(f"  {path.name}, {mistake}" for mistake in refusal.mistakes)]
    return "\n".join([*lines, f"  … and {more:,} more."] if more else lines)


def value_per_currency(contents: import_csv.Contents) -> str:
    """Return the value per currency."""
    return ", ".join(f"{code} {format_amount(Decimal(value), code)}" for code, value in sorted(contents.value.items()))
