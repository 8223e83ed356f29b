"""The environment of every measurement: test servers, and databases that are dropped afterwards."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from django.db import OperationalError, connection, connections

from dev.bench.git_revisions import BEFORE
from dev.bench.tables import Tables
from dev.chaos.test_servers import TEMPLATE, TestServers
from dev.race import scratch_database

T = TypeVar("T")
MAX_REPEATS = 2  # of one round
MAX_STOLEN = 0.1  # share of a round's CPU time that the machine's host may give to others


class RoundDisturbed(Exception):
    """The machine was too busy for the round, e.g. a request was answered 503. The figures would say nothing."""


PROC_STAT, STOLEN = Path("/proc/stat"), 7
DISTURBANCES = (RoundDisturbed, OperationalError, ConnectionError, TimeoutError)


@dataclass
class CpuClock:
    """The share of all CPU time of a block that the host of a virtual machine gave to others; 0 where nothing says so."""

    stolen_share: float = 0.0


@contextmanager
def stolen_time() -> Iterator[CpuClock]:
    """Measure the CPU time that is stolen while the block runs."""
    clock, before = CpuClock(), cpu_ticks()
    yield clock
    spent = [after - earlier for after, earlier in zip(cpu_ticks(), before, strict=True)]
    clock.stolen_share = spent[STOLEN] / (sum(spent) or 1) if spent else 0.0


def cpu_ticks() -> list[int]:
    """Return the machine's ticks of user, nice, system, idle, iowait, irq, softirq and stolen time (man 5 proc_stat)."""
    try:
        return [int(ticks) for ticks in PROC_STAT.read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return []


@dataclass(frozen=True)
class BenchEnvironment:
    """Servers, the number of rounds, and whether to be quick (small tables, short loads: a check, not a measurement).

    `before` is the revision to compare with, where one was chosen. `remarks` collects notes about the current measurement,
    `filled` the databases that filled_database copies.
    """

    servers: TestServers
    rounds: int
    quick: bool
    report_progress: Callable[[str], None] = lambda _: None
    before: str | None = None
    databases: list[str] = field(default_factory=list)
    filled: dict[Tables, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    @property
    def baseline(self) -> str:
        """The revision to compare with."""
        return self.before or BEFORE

    def size(self, full: int, quick: int) -> int:
        """Return the size of the load."""
        return quick if self.quick else full

    def alternate(self, measured: Callable[[], T], yardstick: Callable[[], T]) -> list[tuple[T, T]]:
        """Run both in each round, alternating which one is first, and return their results round by round."""

        def forwards() -> tuple[T, T]:
            return measured(), yardstick()

        def backwards() -> tuple[T, T]:
            second = yardstick()
            return measured(), second

        rounds = []
        for number in range(self.rounds):
            self.report_progress(f"round {number + 1} of {self.rounds}")
            try:
                rounds.append(self.undisturbed(backwards if number % 2 else forwards))
            except DISTURBANCES as error:
                if not rounds and number + 1 == self.rounds:
                    raise
                connections.close_all()
                self.remark(f"round {number + 1} was left out", error)
        return rounds

    def undisturbed(self, run: Callable[[], T]) -> T:
        """Run a round and return its result; repeat a disturbed round, with a remark.

        Raises the disturbance when the last repeat is disturbed too. A round in which only CPU was stolen is used then.
        """
        for _ in range(MAX_REPEATS):
            try:
                with stolen_time() as clock:
                    result = run()
                if clock.stolen_share <= MAX_STOLEN:
                    return result
                self.remark("a round was repeated", RoundDisturbed(f"the host took {clock.stolen_share:.0%} of the CPU"))
            except DISTURBANCES as error:
                connections.close_all()
                self.remark("a round was repeated", error)
        return run()

    def remark(self, what: str, error: Exception) -> None:
        """Note what was done because of a disturbance."""
        self.remarks.append(f"{what} ({type(error).__name__}: {str(error).partition(chr(10))[0]})")
        self.report_progress(self.remarks[-1])

    def filled_database(self, name: str, tables: Tables) -> str:
        """Give this process a database with these tables; it is a copy of what was filled for an earlier measurement."""
        if tables not in self.filled:
            self.filled[tables] = self.fresh_database(f"filled_{len(self.filled)}")
            self.databases.remove(self.filled[tables])  # it stays for the measurements after this one
            tables.fill()
        return self.fresh_database(name, self.filled[tables])

    def fresh_database(self, name: str = "fresh", template: str = TEMPLATE) -> str:
        """Give this process a fresh database with all tables, and return its name; earlier ones stay."""
        database = f"{scratch_database.PREFIX}{name}"
        self.use_template()
        scratch_database.run_statement(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        # Large files are copied as they are. Otherwise every page would go through the write-ahead log.
        strategy = "WAL_LOG" if template == TEMPLATE else "FILE_COPY"
        scratch_database.run_statement(f'CREATE DATABASE "{database}" TEMPLATE "{template}" STRATEGY {strategy}')
        self.databases.append(database)
        connection.settings_dict["NAME"] = database
        scratch_database.require_scratch_database()
        return database

    @contextmanager
    def using_database(self, name: str) -> Iterator[None]:
        """Have this process work in a database that `fresh_database` made."""
        before = connection.settings_dict["NAME"]
        connections.close_all()
        connection.settings_dict["NAME"] = name
        try:
            yield
        finally:
            connections.close_all()
            connection.settings_dict["NAME"] = before

    def use_template(self) -> None:
        """Disconnect and point to the template, which accepts no connections while it is copied."""
        connections.close_all()
        connection.settings_dict["NAME"] = TEMPLATE

    def drop_databases(self) -> None:
        """Drop every database that was made here."""
        self.use_template()
        while self.databases:
            scratch_database.run_statement(f'DROP DATABASE IF EXISTS "{self.databases.pop()}" WITH (FORCE)')
