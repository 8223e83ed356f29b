"""Django's setup in the process of a benchmark, which imports models only afterwards."""

import os

import django


def set_up_django() -> None:
    """Set Django up without a statement timeout in this process: preparing tables takes as long as it takes.

    Web servers that are started later do not inherit this and have the product's own limit.
    """
    os.environ["STATEMENT_TIMEOUT_MS"] = "0"
    django.setup()
    del os.environ["STATEMENT_TIMEOUT_MS"]
