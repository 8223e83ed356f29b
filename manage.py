#!/usr/bin/env python
"""Django's command line, with the local servers started when a command needs them."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

# These never touch the database, or start and stop the servers themselves.
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
CONFIGURATION_ERRORS: tuple[type[Exception], ...] = (ImproperlyConfigured,)
LOCAL = os.environ.get("CASHBACK_ENV", "local") == "local"
if LOCAL:  # a deployment has no need of `dev`
    from dev import services

    CONFIGURATION_ERRORS += (services.LocalServiceError,)


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cashback.settings")
    # An operator's command may take as long as its work takes; the web keeps its limit.
    os.environ.setdefault("STATEMENT_TIMEOUT_MS", "0")
    try:
        if LOCAL and not WITHOUT_SERVERS.intersection(sys.argv[1:2] or ["help"]) and "--help" not in sys.argv:
            services.acquire_lease_if_local()
        execute_from_command_line(sys.argv)
    except CONFIGURATION_ERRORS as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
