"""The base of the wallet's commands: one clear sentence instead of a traceback, and these exit codes.

0 success · 1 refused, violations found, or the output cannot be written · 2 invalid command line · 130 interrupted ·
141 the output pipe was closed.
"""

import sys
from argparse import ArgumentTypeError
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand as DjangoBaseCommand
from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError, OperationalError

from kernel.command_output import checked_output
from kernel.refusals import Refusal
from kernel.transactions import sqlstate
from kernel.whole_numbers import parse_whole_number

NOT_MIGRATED = {"42P01", "42703"}  # undefined table, undefined column
NOT_PERMITTED = {"42501"}  # insufficient privilege


class BaseCommand(DjangoBaseCommand):
    """A command that turns refusals and database errors into CommandError."""

    # A broken URL pattern must not stop an operator's sweep; `manage.py check` runs every check.
    requires_system_checks = ()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command. Raises CommandError with one sentence when it is refused."""
        try:
            return super().execute(*args, **options)
        except (Refusal, ValidationError, DatabaseError, InterfaceError) as error:
            raise CommandError(error_sentence(error)) from error

    def run_from_argv(self, argv: list[str]) -> None:
        """Run from a shell. Ctrl-C, a closed pipe and an output that cannot be written exit without a traceback."""
        try:
            with checked_output():
                super().run_from_argv(argv)
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
            sys.exit(130)


def error_sentence(error: Exception) -> str:
    """Return the message to show for an error that ended a command."""
    if isinstance(error, Refusal):
        return error.message
    if isinstance(error, ValidationError):
        return " ".join(error.messages)
    reason = str(error).strip().partition("\n")[0]
    if sqlstate(error) in NOT_MIGRATED:
        return "The database schema is out of date: run `manage.py migrate` first."
    if sqlstate(error) in NOT_PERMITTED:
        return f"The database role lacks permission ({reason}): use the owner's DATABASE_URL."
    if isinstance(error, (OperationalError, InterfaceError)):
        return f"Cannot use the database ({reason}): check DATABASE_URL and that the server is running."
    return f"The database refused: {reason}."


def positive_int(text: str) -> int:
    """Parse a whole number of at least 1, for argparse."""
    try:
        return parse_whole_number(text, minimum=1)
    except ValueError as error:
        raise ArgumentTypeError(f'"{text}" is not a positive whole number') from error


def whole_number(text: str) -> int:
    """Parse a whole number of at least 0, for argparse."""
    try:
        return parse_whole_number(text, minimum=0)
    except ValueError as error:
        raise ArgumentTypeError(f'"{text}" is not a whole number') from error
