"""Several SQL statements in one round trip: named parameters in, rows with names out."""

from collections import namedtuple
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from kernel.replicas import read_connection


@lru_cache(maxsize=256)
def row_type(names: tuple[str, ...]) -> Any:
    """Return the class of rows with these columns."""
    return namedtuple("Row", names)  # noqa: PYI024  (the columns are known at run time only)


def database_time() -> datetime:
    """Return the time by the clock of the server that reads use now."""
    (clock,) = run_statements({"clock": "SELECT clock_timestamp() AS now"}, {})["clock"]
    now: datetime = clock.now
    return now


def run_statements(statements: Mapping[str, str], parameters: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Send the statements together, in their order, and return the rows of each by its name; none for one without a result.

    They go to the server that reads use now (kernel.replicas).
    """
    results: dict[str, list[Any]] = {}
    with read_connection().cursor() as cursor:
        cursor.execute(";\n".join(statements.values()), parameters)
        for number, name in enumerate(statements):
            if number:
                cursor.nextset()
            if cursor.description is None:
                results[name] = []
            else:
                row = row_type(tuple(column[0] for column in cursor.description))
                results[name] = [row(*values) for values in cursor.fetchall()]
    return results
