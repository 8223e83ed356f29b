"""`manage.py test_clock`: move the clock of a sandbox database forward, and do what is due by then."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DataError, connection
from django.utils import timezone

from dev import test_clock
from kernel.timestamps import format_second
from wallet.actions.end_holds import end_due_holds
from wallet.actions.expire_assets import expire_due
from wallet.actions.lapse_credits import lapse_ended_credits
from wallet.actions.seal_ledger import seal_all
from wallet.management import output
from wallet.management.base_command import BaseCommand
from wallet.verification.enforcement import clock_ahead

DUE = {
    "credit that expires": "SELECT count(*) FROM assets_cashbackasset WHERE status = 'AVAILABLE' AND expires_at <= {then}",
    "hold that ends": "SELECT count(*) FROM ledger_payment WHERE is_held AND held_until <= {then}",
    "claimed credit that lapses": "SELECT count(*) FROM ledger_lot WHERE is_open AND spendable_until <= {then}",
}


class Command(BaseCommand):
    """Moves the clock, ends what is due, and says what that was."""

    help = (
        "For integrators, in local mode only: move the time of this database forward, for PostgreSQL and for all processes of"
        " the product, and run the sweeps. The database becomes a sandbox for good: its clock never goes back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--forward",
            metavar="DURATION",
            help='how far, e.g. "8 days" or "2 hours"; without it: show the time, and apply the offset again',
        )
        parser.add_argument("--dry-run", action="store_true", help="only count what would end by then")

    def handle(self, *args: Any, forward: str | None, dry_run: bool, **options: Any) -> None:
        if not settings.LOCAL:
            raise CommandError("There is a test clock in local mode only.", returncode=2)
        if forward is None:
            test_clock.apply_again()
            self.show(timedelta(seconds=clock_ahead(connection)))
            return
        try:
            by = test_clock.parse_interval(forward)
        except DataError as error:
            raise CommandError(f'"{forward}" is not a duration such as "8 days".', returncode=2) from error
        if dry_run:
            self.count_due(by)
            return
        is_first = not clock_ahead(connection)
        self.show(test_clock.move_forward(by))
        self.run_sweeps()
        if is_first:
            self.stdout.write("If the product is running, restart it once (Ctrl-C, make run), so that its processes follow.")

    def show(self, ahead: timedelta) -> None:
        """Write the time of the database."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT now()")
            now = cursor.fetchone()[0]
        self.stdout.write(f"It is {format_second(now)} UTC in this database, {ahead or 'nothing'} ahead.")

    def count_due(self, by: timedelta) -> None:
        """Write how many rows would be due then."""
        for noun, statement in DUE.items():
            with connection.cursor() as cursor:
                cursor.execute(statement.format(then="now() + %s::interval"), [str(by)])
                count = cursor.fetchone()[0]
            self.stdout.write(f"{count:,} × {noun}")
        self.stdout.write("Dry run, nothing changed.")

    def run_sweeps(self) -> None:
        """Do at once what the scheduler would do within a minute."""
        done = {"credit expired": expire_due(), "hold ended": end_due_holds(), "claimed credit lapsed": lapse_ended_credits()}
        sealed = sum(seal.count for seal in seal_all())
        figures = ", ".join(f"{count:,} × {noun}" for noun, count in done.items())
        self.stdout.write(f"{figures}; {output.count_noun(sealed, 'entry') if sealed == 1 else f'{sealed:,} entries'} sealed.")
        self.stdout.write(f"Python's time: {format_second(timezone.now())} UTC.")
