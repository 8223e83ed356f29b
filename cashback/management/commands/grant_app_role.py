"""`manage.py grant_app_role`: the second role in PostgreSQL, which may not rewrite history."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError, connection
from psycopg import errors

from cashback.database import privileges, roles


class Command(BaseCommand):
    """Creates the role when it is missing, and sets its privileges anew; run it after each migrate, as the owner."""

    help = (
        "Give the role that the application connects with exactly the privileges it needs: no UPDATE, DELETE or TRUNCATE "
        "on what is append-only. Creates the role when it is missing. Run as the owner of the tables, after each migrate."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--role", default=roles.APP_ROLE, help="name of the role (default: %(default)s)")
        parser.add_argument("--dry-run", action="store_true", help="print the SQL and change nothing")

    def handle(self, *args: Any, role: str, dry_run: bool, **options: Any) -> None:
        """Create and grant, all or nothing."""
        if dry_run:
            made = [] if roles.role_exists(role) else [roles.create_role_statement(role)]
            session = connection.connection
            self.stdout.write("\n".join(f"{part.as_string(session)};" for part in (*made, *roles.grant_statements(role))))
            return
        try:
            created = privileges.set_privileges(role)
        except ProgrammingError as error:
            if isinstance(error.__cause__, errors.InsufficientPrivilege):
                raise CommandError(
                    f"{error}: connect as the owner of the tables, with CREATEROLE or an existing role."
                ) from None
            if isinstance(error.__cause__, errors.UndefinedFunction):
                raise CommandError(f"{error}: run `manage.py migrate` first.") from None
            raise
        self.stdout.write(f"{'Created' if created else 'Found'} {role}; its privileges are set.")
