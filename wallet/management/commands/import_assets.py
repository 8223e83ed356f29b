"""`manage.py import_assets`: credits from a CSV file."""

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
    """Check the whole file, then issue all of its credits or none."""

    help = (
        "Issue the credits of a CSV file (UTF-8, columns title, total_value, currency, pool, expires_at in any order), all or"
        " none. expires_at is a day, which ends where the pool is, or an instant such as 2030-03-31T18:30:00Z, or empty for"
        " never; currency may be empty when there is a pool, pool when there is a currency."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE.csv", help="it is read twice, so it cannot be standard input")
        parser.add_argument("--pool", metavar="NAME", help="the pool of the lines that name none")
        parser.add_argument("--dry-run", action="store_true", help="only check the file")

    def handle(self, *args: Any, file: str, pool: str | None, dry_run: bool, **options: Any) -> None:
        path = readable_file(file)
        size = path.stat().st_size
        try:
            with output.progress_bar(self.stderr, f"Checking {path.name}, bytes", size) as advance:
                credits_ = import_csv.CreditFile(path, None, default_pool(pool), advance)
                found = credits_.check()
            if not dry_run:
                with output.progress_bar(self.stderr, f"Importing {path.name}, bytes", size) as advance:
                    import_csv.import_assets(replace(credits_, progress=advance, expected=found))
        except import_csv.FileRefused as refusal:
            raise CommandError(format_mistakes(path, refusal)) from refusal
        except OSError as error:
            raise CommandError(f"Cannot read {file} ({error.strerror}).", returncode=2) from None
        what = "would be imported (dry run, nothing changed)" if dry_run else "imported"
        self.stdout.write(
            self.style.SUCCESS(f"{output.count_noun(found.count, 'credit')} {what}: {value_per_currency(found)}.")
        )


def readable_file(name: str) -> Path:
    """Return the path of a real file; raise CommandError when it is none."""
    if name == "-":
        raise CommandError("Give a file: it is read twice, and standard input can be read only once.", returncode=2)
    path = Path(name)
    if not path.exists():
        raise CommandError(f"There is no file {name}.", returncode=2)
    if not path.is_file():
        raise CommandError(f"{name} is not a file: it is read twice, so a folder, pipe or device will not do.", returncode=2)
    return path


def default_pool(name: str | None) -> CreditPool | None:
    """Return the pool that --pool names."""
    if name is None:
        return None
    pool = CreditPool.objects.filter(name=name).first()
    if pool is None:
        raise CommandError(f'There is no pool "{name}".', returncode=2)
    return pool


def format_mistakes(path: Path, refusal: import_csv.FileRefused) -> str:
    """Return the refusal with its mistakes, one a line."""
    more = refusal.count - len(refusal.mistakes)
    lines = [refusal.message, *(f"  {path.name}, {mistake}" for mistake in refusal.mistakes)]
    return "\n".join([*lines, f"  … and {more:,} more."] if more else lines)


def value_per_currency(contents: import_csv.Contents) -> str:
    """Return the value per currency."""
    return ", ".join(f"{code} {format_amount(Decimal(value), code)}" for code, value in sorted(contents.value.items()))
