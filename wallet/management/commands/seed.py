"""`manage.py seed`: create demo data."""

import hmac
import secrets
from argparse import ArgumentParser
from base64 import b32encode
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.models import Role, User
from wallet.actions import demo_data
from wallet.management.base_command import BaseCommand

WIDEST_EMAIL = max(map(len, demo_data.ROLES))


class Command(BaseCommand):
    """Creates the missing demo data and prints the sign-ins."""

    help = (
        "Create demo data: pools with credits, rules, two users, an ADMIN and payments at a demo shop, and print the sign-ins."
        " Safe to repeat: a second run adds nothing. Outside local mode it requires --yes and prints passwords once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="show what is missing without creating it")
        parser.add_argument(
            "--yes", action="store_true", help="confirm that this installation is a demo; required outside local mode"
        )

        parser.add_argument(
            "--admin-only", action="store_true", help="create nothing but the first operator, for a product without demo data"
        )

    def handle(self, *args: Any, dry_run: bool, yes: bool, admin_only: bool, **options: Any) -> None:
        if dry_run and admin_only:
            has_admin = User.objects.filter(role=Role.ADMIN, is_active=True).exists()
            self.stdout.write(f"Would create: {'nothing, there is an operator' if has_admin else demo_data.ADMIN}.")
            return
        if dry_run:
            self.stdout.write(
                f"Would create: {', '.join(demo_data.missing_steps(demo_password)) or 'nothing, the demo is complete'}."
            )
            return
        if not settings.LOCAL and not yes:
            raise CommandError("This is not a local installation. Pass --yes to create demo users and credits here.")
        if admin_only:
            self.create_admin()
            return
        known: dict[str, str] = {}
        created = demo_data.create_demo_data(lambda email: known.setdefault(email, demo_password(email)))
        self.stdout.write(f"Created: {', '.join(created)}.\n\n" if created else "The demo is complete; nothing was added.\n\n")
        self.stdout.write(self.style.SUCCESS("Demo sign-ins"))
        for email, role in demo_data.ROLES.items():
            self.stdout.write(f"  {email:<{WIDEST_EMAIL}}  {known.get(email) or known_password(email):<14}  {role}")

    def create_admin(self) -> None:
        """Create the first operator and print the sign-in."""
        password = demo_password(demo_data.ADMIN)
        if demo_data.create_first_admin(lambda _: password):
            self.stdout.write(self.style.SUCCESS("The first operator"))
        elif settings.LOCAL and user_with_password(demo_data.ADMIN, password):
            self.stdout.write("There is an operator; nothing was added.")
        else:
            self.stdout.write("There is an operator; nothing was added. Their password cannot be shown.")
            return
        self.stdout.write(f"  {demo_data.ADMIN}  {password}  ADMIN")


def user_with_password(email: str, password: str) -> bool:
    """Return whether a user has this email and password."""
    user = User.objects.filter(email=email).first()
    return user is not None and user.check_password(password)


def demo_password(email: str) -> str:
    """Return a new 60-bit password. In local mode it is the same for each run, so that it can be shown again."""
    if settings.LOCAL:
        noise = hmac.digest(settings.SECRET_KEY.encode(), f"demo password of {email}".encode(), "sha256")
    else:
        noise = secrets.token_bytes(8)
    letters = b32encode(noise).decode().lower()
    return "-".join((letters[:4], letters[4:8], letters[8:12]))


def known_password(email: str) -> str:
    """Return the password of an existing user, or why it cannot be shown."""
    if not settings.LOCAL:
        return "(shown once)"
    known = demo_password(email)
    return known if User.objects.get(email=email).check_password(known) else "(changed)"
