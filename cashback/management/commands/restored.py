"""`manage.py restored`: what a restored database needs before it is used again."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from cashback.database import roles
from cashback.database.restore_checks import Finding, check_restored
from wallet.management.base_command import BaseCommand
from wallet.verification.published_seals import InvalidSealFile


class Command(BaseCommand):
    """Checks a restored database, puts right what a connection can, and exits with 1 if something remains to be done."""

    help = (
        "Check a database after a restore, logical or physical: transaction ids, rules, privileges, statistics and, with "
        "--roots, seals that are gone. Without --apply nothing is changed. Run it as the owner of the tables."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--apply", action="store_true", help="put right what can be put right over a connection")
        parser.add_argument("--roots", type=Path, metavar="FILE", help="compare with the seals in this file")
        parser.add_argument("--role", default=roles.APP_ROLE, help="name of the application's role (default: %(default)s)")

    def handle(self, *args: Any, apply: bool, roots: Path | None, role: str, **options: Any) -> None:
        left = 0
        try:
            for finding in check_restored(role, roots):
                left += not self.settle(finding, apply)
        except InvalidSealFile as error:
            raise CommandError(f"The seals were not compared: {error}.", returncode=2) from error
        if left:
            raise CommandError(f"Not ready: {left} to do.{'' if apply else ' --apply does those marked [apply].'}")
        self.stdout.write(self.style.SUCCESS("Ready. Now run `manage.py verify_ledger`, and start the web and the scheduler."))

    def settle(self, finding: Finding, apply: bool) -> bool:
        """Print a finding, repair it if asked to and possible; return whether nothing remains to be done."""
        if finding.is_right:
            self.stdout.write(f"ok       {finding.subject}: {finding.state}")
        elif finding.repair is None:
            self.stdout.write(f"to do    {finding.subject}: {finding.state}. {finding.remedy}")
        elif not apply:
            self.stdout.write(f"[apply]  {finding.subject}: {finding.state}")
        else:
            finding.repair()
            self.stdout.write(f"done     {finding.subject}: {finding.state}")
        return finding.is_right or (apply and finding.repair is not None)
