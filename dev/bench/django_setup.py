"""Django's setup in the process of a benchmark, which imports models only afterwards."""

import os

import django
from django.db import connection

LIMITS = ("STATEMENT_TIMEOUT_MS", "LOCK_TIMEOUT_MS")


def set_up_django() -> None:
    """Set Django up without time limits of statements in this process: preparing tables takes as long as it takes.

    Web servers that are started later do not inherit this and have the product's own limit.
    """
    os.environ |= dict.fromkeys(LIMITS, "0")
    django.setup()
    for name in LIMITS:
        del os.environ[name]
    # A transaction that prepares tables may idle while this process waits for a core.
    connection.settings_dict["OPTIONS"]["options"] += " -c idle_in_transaction_session_timeout=0"
