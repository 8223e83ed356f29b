"""The operator in whose name a command acts."""

from argparse import ArgumentParser

from django.core.management.base import CommandError

from accounts.email_addresses import normal_email
from accounts.models import Role, User


def add_operator_argument(parser: ArgumentParser, *, required: bool = False) -> None:
    """Add the option --as."""
    help_text = "the operator in whose name this is done"
    parser.add_argument("--as", dest="operator", metavar="EMAIL", required=required, help=help_text)


def find_operator(email: str | None) -> User | None:
    """Return the active operator with this email; None without one. Raises CommandError."""
    if email is None:
        return None
    operator = User.objects.filter(email=normal_email(email), role=Role.ADMIN, is_active=True).first()
    if operator is None:
        raise CommandError(f'No active operator has the email "{email}".', returncode=2)
    return operator
