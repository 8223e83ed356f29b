#!/usr/bin/env python
"""The shell's door: Django's command line, with the local servers brought up when they are needed."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from dev import services

# These never touch the database, or bring the servers up and down themselves.
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
    # An operator's command may take as long as its work takes; the web keeps its limit.
    os.environ.setdefault("STATEMENT_TIMEOUT_MS", "0")
    try:
        if not WITHOUT_SERVERS.intersection(sys.argv[1:2] or ["help"]) and "--help" not in sys.argv:
            services.acquire_lease_if_local()
        execute_from_command_line(sys.argv)
    except (services.LocalServiceError, ImproperlyConfigured) as refusal:
        sys.exit(str(refusal))


if __name__ == "__main__":
    main()
