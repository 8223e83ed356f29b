"""`manage.py ownership_report`: list credits with their owners."""

import os
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, OutputWrapper
from django.db.models import F, Q

from accounts import audit
from accounts.models import User
from wallet.assets.models import AssetStatus, CreditPool
from wallet.assets.querysets import AssetQuerySet
from wallet.management import output
from wallet.management.base_command import BaseCommand
from wallet.queries import csv_export, ownership

MAX_TABLE_ROWS = 200  # CSV has all rows
COLUMNS = ("value", "currency", "status", "owner", "claimed_at", "pool", "title")


class Command(BaseCommand):
    """Writes the ownership report as a table or as CSV."""

    help = "Show which user holds which credit, newest claim first, with totals per currency."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=("table", "csv"), default="table", help="(default: %(default)s)")
        parser.add_argument("--pool", metavar="NAME", help="only this pool's credits")
        parser.add_argument("--status", choices=AssetStatus.values, type=str.upper, help="only credits with this status")
        parser.add_argument("--owner", metavar="EMAIL", help="only this user's credits")
        parser.add_argument("--bom", action="store_true", help="begin CSV with a byte order mark, for spreadsheet programs")
        parser.add_argument("--output", metavar="FILE", type=Path, help="write to this file atomically")

    def handle(self, *args: Any, **options: Any) -> None:
        assets = selected_assets(options["pool"], options["status"], options["owner"])
        write: Any = {"table": self.write_table, "csv": partial(write_csv, with_mark=options["bom"])}[options["format"]]
        if options["output"] is None:
            write(assets, self.stdout)
            return
        with atomic_file(options["output"]) as file:
            write(assets, OutputWrapper(file))
        self.stdout.write(f"Written to {options['output']}.")

    def write_table(self, assets: AssetQuerySet, out: OutputWrapper) -> None:
        """Write the first rows, and the totals of all rows."""
        rows = [ownership.ownership_row(asset) for asset in assets[:MAX_TABLE_ROWS]]
        totals = ownership.ownership_totals(assets)
        if not rows:
            out.write("No matching credits.")
            return
        output.write_table(out, COLUMNS, [[row[name] for name in COLUMNS] for row in rows], right=("value",))
        count = sum(total["count"] for total in totals)
        if count > len(rows):
            out.write(f"The first {len(rows)} of {count:,}; --format csv writes them all.")
        out.write("")
        lines = [(total["currency"], total["current_status"], f"{total['count']:,}", total["value"]) for total in totals]
        output.write_table(out, ("currency", "status", "credits", "value"), lines, title="Totals", right=("credits", "value"))


def selected_assets(pool: str | None, status: str | None, owner: str | None) -> AssetQuerySet:
    """Return the assets that match the options; raise CommandError for an unknown pool or owner."""
    assets = ownership.ownership_rows().order_by(F("claimed_at").desc(nulls_last=True), "-id")
    if pool is not None:
        assets = assets.filter(pool=pool_by_name(pool))
    if status is not None:
        assets = assets.filter(Q(current_status=status))
    if owner is not None:
        assets = assets.filter(claimed_by=user_by_email(owner))
    return assets


def pool_by_name(name: str) -> CreditPool:
    """Return the pool with this name."""
    try:
        return CreditPool.objects.named(name).get()
    except CreditPool.DoesNotExist:
        names = ", ".join(CreditPool.objects.order_by("name").values_list("name", flat=True)[:10])
        raise CommandError(f'Pool not found: "{name}". Pools: {names or "none yet"}.', returncode=2) from None


def user_by_email(email: str) -> User:
    """Return the user with this email."""
    try:
        return User.objects.get_by_natural_key(email)
    except User.DoesNotExist:
        raise CommandError(f'No user has the email "{email}".', returncode=2) from None


def write_csv(assets: AssetQuerySet, out: OutputWrapper, with_mark: bool) -> None:
    """Write one row per asset while reading them; no cell is a formula."""
    audit.record_event("export", "done")
    out.write(csv_export.BYTE_ORDER_MARK if with_mark else "", ending="")
    for block in csv_export.csv_chunks(ownership.OWNERSHIP_COLUMNS, ownership.ownership_lines(assets)):
        out.write(block, ending="")


@contextmanager
def atomic_file(path: Path) -> Iterator[Any]:
    """Yield a temporary file that replaces `path` when the block succeeds."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", newline="", delete=False
        ) as file:
            try:
                yield file
            except BaseException:
                Path(file.name).unlink()
                raise
        umask = os.umask(0)
        os.umask(umask)
        Path(file.name).chmod(0o666 & ~umask)
        Path(file.name).replace(path)
    except OSError as error:
        raise CommandError(f"Cannot write {path} ({error.strerror}): choose another file.", returncode=2) from None
