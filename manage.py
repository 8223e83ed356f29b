#!/usr/bin/env python
"""Django's command line; in local mode it starts the local servers that a command needs."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from cashback.env import LOCAL
from kernel.command_output import checked_output

STARTUP_ERRORS: tuple[type[Exception], ...] = (ImproperlyConfigured,)
if LOCAL:
    from dev import services  # the package is not part of a deployment

    STARTUP_ERRORS += (services.LocalServiceError,)

# Commands that do not use the database, or start and stop the servers themselves.
WITHOUT_SERVERS = {
    "help",
    "--help",
    "-h",
    "--version",
    "version",
    "services",
    "run",
    "prove",
    "bench",
    "collectstatic",
    "spectacular",
}


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cashback.settings")
    # Commands have no statement timeout; web requests keep theirs.
    os.environ.setdefault("STATEMENT_TIMEOUT_MS", "0")
    # The scheduler shares its metrics with the web server; a command that ends would only leave files behind.
    if sys.argv[1:2] != ["qcluster"]:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    try:
        if LOCAL and not WITHOUT_SERVERS.intersection(sys.argv[1:2] or ["help"]) and "--help" not in sys.argv:
            services.acquire_lease_if_local()
        with checked_output():
            execute_from_command_line(sys.argv)
    except STARTUP_ERRORS as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
