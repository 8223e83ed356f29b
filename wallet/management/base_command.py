"""What every command of the wallet shares: one clear sentence instead of a traceback, and honest exit codes.

0 done · 1 refused, or a violation found · 2 the command line is wrong · 130 interrupted · 141 the reader went away.
"""

import os
import sys
from argparse import ArgumentTypeError
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand as DjangoBaseCommand
from django.core.management.base import CommandError
from django.db import DatabaseError, InterfaceError, OperationalError

from kernel.refusals import Refusal
from kernel.transactions import sqlstate

NOT_MIGRATED = {"42P01", "42703"}  # undefined table, undefined column
NO_ROOM = {"42501"}  # insufficient privilege


class BaseCommand(DjangoBaseCommand):
    """A command that turns what acts and the database refuse into a CommandError."""

    # A page's broken address must not keep an operator from the sweep; `manage.py check` looks at everything.
    requires_system_checks = ()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; raise CommandError with one sentence when it is refused."""
        try:
            return super().execute(*args, **options)
        except (Refusal, ValidationError, DatabaseError, InterfaceError) as error:
            raise CommandError(error_sentence(error)) from error

    def run_from_argv(self, argv: list[str]) -> None:
        """Run from a shell: Ctrl-C and a closed pipe end it without a traceback."""
        try:
            super().run_from_argv(argv)
        except KeyboardInterrupt:
            self.stderr.write("Interrupted.")
            sys.exit(130)
        except BrokenPipeError:
            # Python would complain once more when it flushes stdout at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)


def error_sentence(error: Exception) -> str:
    """Return what a person should read of an error that ended a command."""
    if isinstance(error, Refusal):
        return error.message
    if isinstance(error, ValidationError):
        return " ".join(error.messages)
    reason = str(error).strip().partition("\n")[0]
    if sqlstate(error) in NOT_MIGRATED:
        return "The database has not all the tables of this version: run `manage.py migrate` first."
    if sqlstate(error) in NO_ROOM:
        return f"The database role may not do this ({reason}): use the owner's DATABASE_URL."
    if isinstance(error, (OperationalError, InterfaceError)):
        return f"The database does not answer as it should ({reason}): is DATABASE_URL right, and the server up?"
    return f"The database refused: {reason}."


def positive_int(text: str) -> int:
    """Read a whole number from 1 on, for argparse."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ArgumentTypeError(f'"{text}" is not a whole number from 1 on')
    return int(text)
