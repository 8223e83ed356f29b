"""`manage.py two_factor`: help an operator who lost the second factor."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.email_addresses import normal_email
from accounts.models import User
from accounts.two_factor import reset_two_factor
from wallet.management.base_command import BaseCommand


class Command(BaseCommand):
    """Removes the second factor of one user."""

    help = "Remove the two-step verification of an operator who lost phone and recovery codes. Make sure who is asking first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--reset", required=True, metavar="EMAIL", help="the operator's email")
        parser.add_argument("--dry-run", action="store_true", help="only show whether it is on")

    def handle(self, *args: Any, reset: str, dry_run: bool, **options: Any) -> None:
        user = User.objects.filter(email=normal_email(reset)).first()
        if user is None:
            raise CommandError(f"No user has the email {reset}.")
        if user.two_factor_since is None:
            self.stdout.write(f"{user.email} has no two-step verification; nothing to remove.")
        elif dry_run:
            self.stdout.write(f"Two-step verification of {user.email} would be removed (dry run, nothing changed).")
        else:
            reset_two_factor(user, None)
            self.stdout.write(self.style.SUCCESS(f"Two-step verification of {user.email} is off. A password alone signs in."))
