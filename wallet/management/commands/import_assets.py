"""`manage.py import_assets`: import credits from a CSV or XLSX file."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from kernel.timestamps import format_minute
from wallet.actions import import_csv
from wallet.actions.approvals import ApprovalRequired, AwaitsApproval
from wallet.actions.import_csv import Contents, CreditFile
from wallet.actions.import_mistakes import FileRefused, MissingPool
from wallet.assets.batches import BatchHeader
from wallet.assets.models import CreditPool, PoolKind
from wallet.management import output
from wallet.management.base_command import BaseCommand
from wallet.management.operators import add_operator_argument, find_operator
from wallet.money import check_currency, format_amount
from wallet.queries import batches

NEEDS_OPERATOR = (
    "A pool would get more than its approval threshold, so another operator must approve this file. Nothing was imported."
    " Name who proposes it with --as EMAIL."
)


class Command(BaseCommand):
    """Checks the whole file, then issues all of its credits or none."""

    help = (
        "Issue the credits of a CSV file (UTF-8; comma, semicolon or tab) or XLSX workbook with the columns title, total_value,"
        " currency, pool, expires_at in any order, all or none. expires_at: a date (end of day in the pool's time zone), a"
        " timestamp such as 2030-03-31T18:30:00Z, or blank for no expiry. currency: optional with a pool. pool: optional with a"
        " currency. On a terminal it asks before it issues."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="must be a regular file")
        parser.add_argument("--pool", metavar="NAME", help="default pool for rows without one")
        parser.add_argument("--dry-run", action="store_true", help="only check the file")
        parser.add_argument("--yes", action="store_true", help="do not ask before issuing")
        parser.add_argument("--again", action="store_true", help="import a file that was imported before")
        add_operator_argument(parser)
        parser.add_argument(
            "--create-pool",
            action="append",
            default=[],
            type=new_pool,
            metavar="NAME=KIND:CURRENCY",
            help=f"create this pool if it does not exist (repeatable); KIND is {', '.join(PoolKind.values)}",
        )

    def handle(
        self, *args: Any, file: str, pool: str | None, dry_run: bool, yes: bool, again: bool, create_pool: Any, **options: Any
    ) -> None:
        path, operator = readable_file(file), find_operator(options["operator"])
        asks = sys.stdin.isatty() and not yes
        try:
            credit_file = CreditFile(path, operator, default_pool(pool), new_pools=missing(create_pool))
            credit_file, contents = self.check_file(credit_file, asks)
            if not dry_run:
                self.confirm(credit_file, contents, asks, again)
                self.import_file(credit_file, contents)
        except FileRefused as refusal:
            raise CommandError(format_mistakes(path, refusal)) from refusal
        except AwaitsApproval as waiting:
            self.stdout.write(f"{waiting.message} Approve it with: manage.py approvals approve {waiting.proposal.pk} --as …")
            return
        except ApprovalRequired as refusal:
            raise CommandError(NEEDS_OPERATOR) from refusal
        except OSError as error:
            raise CommandError(f"Cannot read {file} ({error.strerror}).", returncode=2) from None
        outcome = "would be imported (dry run, nothing changed)" if dry_run else "imported"
        self.stdout.write(
            self.style.SUCCESS(f"{output.count_noun(contents.count, 'credit')} {outcome}: {value_per_currency(contents)}.")
        )

    def check_file(self, file: CreditFile, asks: bool) -> tuple[CreditFile, Contents]:
        """Return the file with its contents. On a terminal offer to create missing pools. Raises FileRefused."""
        try:
            return file, self.read(file)
        except FileRefused as refusal:
            if not (asks and refusal.only_missing_pools):
                raise
            pools = [self.ask_for_pool(missing_pool) for missing_pool in refusal.missing_pools]
            file = replace(file, new_pools=[*file.new_pools, *(pool for pool in pools if pool)])
            return file, self.read(file)

    def read(self, file: CreditFile) -> Contents:
        """Check the file with a progress bar, and return its contents."""
        with output.progress_bar(self.stderr, f"Checking {file.path.name}, bytes", file.path.stat().st_size) as advance:
            return replace(file, progress=advance).check()

    def ask_for_pool(self, missing_pool: MissingPool) -> CreditPool | None:
        """Ask for the kind and currency of a missing pool; None if it is not to be created."""
        usual = missing_pool.currencies.most_common(1)
        default = f"PROMOTION:{usual[0][0] if usual else 'INR'}"
        lines = output.count_noun(missing_pool.count, "line")
        answer = self.ask(f'Create the pool "{missing_pool.name}" ({lines}) as KIND:CURRENCY [{default}], or n for no? ')
        if answer.lower() in {"n", "no"}:
            return None
        try:
            return new_pool(f"{missing_pool.name}={answer or default}")
        except ArgumentTypeError as error:
            raise CommandError(f"{error}. Nothing was imported.", returncode=2) from error

    def confirm(self, file: CreditFile, contents: Contents, asks: bool, again: bool) -> None:
        """Ask before issuing, and refuse a file that was imported before unless told so. Raises CommandError."""
        former = batches.batches_of_file(contents.digest).first()
        if former and not again:
            who = former.created_by.email if former.created_by else former.channel
            said = f"This file was imported before, at {format_minute(former.created_at)} UTC by {who} (batch {former.pk})."
            if not asks or self.ask(f"{said} Import it again? [y/N] ").lower() not in {"y", "yes"}:
                raise CommandError(f"{said} Nothing was imported. Use --again to import it again.")
        if not asks:
            return
        for pool in file.new_pools:
            self.stderr.write(f'New pool "{pool.name}": {pool.kind}, {pool.currency}.')
        total = f"{output.count_noun(contents.count, 'credit')} worth {value_per_currency(contents)}"
        if self.ask(f"Issue {total}? [y/N] ").lower() not in {"y", "yes"}:
            raise CommandError("Nothing was imported.")

    def ask(self, question: str) -> str:
        """Return the answer typed on the terminal."""
        self.stderr.write(question, ending="")
        self.stderr.flush()
        return sys.stdin.readline().strip()

    def import_file(self, file: CreditFile, contents: Contents) -> None:
        """Import the file with a progress bar."""
        name = file.path.name
        batch = BatchHeader(name, file_name=name, file_digest=contents.digest)
        with output.progress_bar(self.stderr, f"Importing {name}, bytes", file.path.stat().st_size) as advance:
            import_csv.import_assets(replace(file, progress=advance, expected=contents), batch)
        self.stderr.write(f"Batch: {batch.id}")


def new_pool(text: str) -> CreditPool:
    """Return the unsaved pool that an option describes; raise ArgumentTypeError."""
    name, _, rest = text.rpartition("=")
    kind, _, currency = rest.upper().partition(":")
    try:
        check_currency(currency)
    except ValidationError as error:
        raise ArgumentTypeError(" ".join(error.messages)) from error
    if not name.strip() or kind not in PoolKind.values:
        raise ArgumentTypeError(f'"{text}" is not NAME=KIND:CURRENCY with one of the kinds {", ".join(PoolKind.values)}')
    return CreditPool(name=name.strip(), kind=kind, currency=currency)


def missing(pools: list[CreditPool]) -> list[CreditPool]:
    """Return those of the pools that do not exist."""
    existing = set(CreditPool.objects.filter(name__in=[pool.name for pool in pools]).values_list("name", flat=True))
    return [pool for pool in pools if pool.name not in existing]


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


def format_mistakes(path: Path, refusal: FileRefused) -> str:
    """Return the refusal and its errors, one per line; pools that do not exist on several lines are one line together."""
    grouped = [group for group in refusal.groups if refusal.missing_pools and group.column == "pool" and group.count > 1]
    listed = [mistake for mistake in refusal.mistakes if not (grouped and mistake.missing_pool)]
    lines = [refusal.message]
    for group in grouped:
        first = ", ".join(map(str, group.lines))
        lines.append(f"  {path.name}, pool: {group.message} First lines: {first}. Create them with --create-pool.")
    lines += [f"  {path.name}, {mistake}" for mistake in listed]
    more = refusal.count - len(listed) - sum(group.count for group in grouped)
    return "\n".join([*lines, f"  … and {more:,} more."] if more else lines)


def value_per_currency(contents: Contents) -> str:
    """Return the value per currency."""
    return ", ".join(f"{code} {format_amount(Decimal(value), code)}" for code, value in sorted(contents.value.items()))
