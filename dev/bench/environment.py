"""What every measurement lies on: servers of its own, and databases that are gone afterwards."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from django.db import connection, connections

from dev.chaos.test_servers import TEMPLATE, TestServers
from dev.race import scratch_database

T = TypeVar("T")


@dataclass(frozen=True)
class BenchEnvironment:
    """Servers, how many rounds to run, and whether to be quick (small tables, short loads: a look, not a measurement)."""

    servers: TestServers
    rounds: int
    quick: bool
    tell: Callable[[str], None] = lambda _: None
    made: list[str] = field(default_factory=list)

    def size(self, whole: int, quick: int) -> int:
        """Return how much to do."""
        return quick if self.quick else whole

    def alternate(self, measured: Callable[[], T], yardstick: Callable[[], T]) -> list[tuple[T, T]]:
        """Run both in each round, now the one first and now the other, and return what each came to."""
        rounds = []
        for number in range(self.rounds):
            self.tell(f"round {number + 1} of {self.rounds}")
            if number % 2:
                second = yardstick()
                rounds.append((measured(), second))
            else:
                rounds.append((measured(), yardstick()))
        return rounds

    def fresh(self, name: str = "fresh") -> str:
        """Give this process a fresh database with all tables, and return its name; those made before stay."""
        whole = f"{scratch_database.PREFIX}{name}"
        self.leave()
        scratch_database.run_statement(f'DROP DATABASE IF EXISTS "{whole}" WITH (FORCE)')
        scratch_database.run_statement(f'CREATE DATABASE "{whole}" TEMPLATE "{TEMPLATE}"')
        self.made.append(whole)
        connection.settings_dict["NAME"] = whole
        scratch_database.require_scratch_database()
        return whole

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        """Have this process work in a database that `fresh` made."""
        before = connection.settings_dict["NAME"]
        connections.close_all()
        connection.settings_dict["NAME"] = name
        try:
            yield
        finally:
            connections.close_all()
            connection.settings_dict["NAME"] = before

    def leave(self) -> None:
        """Go back to the template, which nobody may be connected to while it is copied."""
        connections.close_all()
        connection.settings_dict["NAME"] = TEMPLATE

    def clear(self) -> None:
        """Drop every database that was made here."""
        self.leave()
        while self.made:
            scratch_database.run_statement(f'DROP DATABASE IF EXISTS "{self.made.pop()}" WITH (FORCE)')
