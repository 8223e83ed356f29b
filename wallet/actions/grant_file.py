"""Grant credits to the users of a CSV file, in small transactions on several connections.

A line's reference grants once, so that a file which was interrupted is run again as a whole.
"""

import csv
import hashlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from threading import Event
from typing import IO

from django.db import connection
from django.utils.translation import gettext_noop as _

from kernel.refusals import BadRequest
from kernel.transactions import Busy
from wallet.actions.csv_rows import InvalidRow, Mistake, numbered_rows
from wallet.actions.grant_batch import MAX_LINES, GrantOrder, check_worth, grant_lines
from wallet.actions.grant_lines import GrantLine, LineResult

COLUMNS = ("user", "reference")
REPORT_COLUMNS = ("line", "user", "reference", "outcome", "claim", "code")
MAX_FILE_LINES = 1_000_000
CONNECTIONS = 2
PART_LINES = 10 * MAX_LINES  # what one thread grants between two connections
BUSY_ATTEMPTS, BUSY_SECONDS = 5, 0.5
Progress = Callable[[int], None]
NumberedLine = tuple[int, GrantLine]


class GrantFileRefused(BadRequest):
    code = "file_refused"
    meaning = _("The file of a bulk grant cannot be read, so nothing was granted.")
    detail = _("Nothing was granted. Give the file a header row with user and reference, and one row per grant.")


@dataclass(frozen=True)
class GrantFile:
    """A CSV file of users and references, which can be iterated any number of times and keeps one line in memory."""

    path: Path

    def __iter__(self) -> Iterator[NumberedLine]:
        """Yield the lines with their numbers. Raises GrantFileRefused where the file is not as it must be."""
        try:
            with self.path.open("rb") as file:
                rows = numbered_rows(file, lambda _bytes: None, hashlib.sha256())
                header = self.parse_header(next(rows, (1, [])))
                user, reference = (header.index(name) for name in COLUMNS)
                for number, cells in rows:
                    if len(cells) != len(header):
                        raise InvalidRow(Mistake(number, None, f"expected {len(header)} cells, found {len(cells)}."))
                    yield number, GrantLine(cells[user], cells[reference].strip())
        except InvalidRow as error:
            raise GrantFileRefused(f"{self.path.name}, {error.mistakes[0]}") from error

    def parse_header(self, first: tuple[int, list[str]]) -> list[str]:
        """Return the names of the columns; raise InvalidRow unless they are COLUMNS, in any order."""
        names = [cell.strip().lower() for cell in first[1]]
        if sorted(names) != sorted(COLUMNS):
            raise InvalidRow(Mistake(first[0], None, f"the columns must be {' and '.join(COLUMNS)}."))
        return names

    @cached_property
    def count(self) -> int:
        """The number of lines, for which the whole file is read and checked. Raises GrantFileRefused."""
        count = 0
        for number, _line in self:
            count += 1
            if count > MAX_FILE_LINES:
                raise GrantFileRefused(f"{self.path.name}, line {number}: more than {MAX_FILE_LINES:,} lines. Split the file.")
        if not count:
            raise GrantFileRefused
        return count


def grant_file(
    file: GrantFile,
    order: GrantOrder,
    report: IO[str],
    *,
    dry_run: bool = False,
    progress: Progress = lambda _: None,
) -> Counter[str]:
    """Grant the lines of the file and write the report; return the numbers of lines by outcome, refused ones by code.

    Arguments:
        dry_run: change nothing; each line is judged by what is there now, as if there were credits for all.
        progress: called with the number of lines done.

    Raises GrantFileRefused, BulkApprovalRequired for all lines together, and as `grant_lines` does. What was granted before
    stays granted.
    """
    check_worth(order, file.count)
    counts, lines, stopping = Counter[str](), iter(file), Event()
    writer = csv.writer(report)
    writer.writerow(REPORT_COLUMNS)
    running: deque[tuple[list[NumberedLine], Future[list[LineResult]]]] = deque()
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        try:
            while (part := list(islice(lines, PART_LINES))) or running:
                if part:
                    running.append((part, threads.submit(grant_part, order, [line for _, line in part], dry_run, stopping)))
                if len(running) > CONNECTIONS or not part:
                    done, future = running.popleft()
                    counts.update(write_results(writer, done, future.result()))
                    progress(len(done))
        finally:
            stopping.set()
            threads.shutdown(cancel_futures=True)
    return counts


def grant_part(order: GrantOrder, lines: Sequence[GrantLine], dry_run: bool, stopping: Event) -> list[LineResult]:
    """Grant lines on this thread's connection, MAX_LINES a transaction, and return their results."""
    results: list[LineResult] = []
    try:
        for start in range(0, len(lines), MAX_LINES):
            if stopping.is_set():
                break
            results += grant_patiently(order, lines[start : start + MAX_LINES], dry_run)
        return results
    finally:
        connection.close()


def grant_patiently(order: GrantOrder, lines: Sequence[GrantLine], dry_run: bool) -> list[LineResult]:
    """Grant lines in one transaction; after a pause those again for which the database or a credit was busy."""
    results: dict[int, LineResult] = {}
    left = list(range(len(lines)))
    for attempt in range(1, BUSY_ATTEMPTS + 1):
        try:
            results |= dict(zip(left, grant_lines(order, [lines[place] for place in left], dry_run=dry_run), strict=True))
        except Busy:
            if attempt == BUSY_ATTEMPTS:
                raise
        else:
            left = [place for place in left if isinstance(results[place].refusal, Busy)]
        if not left or attempt == BUSY_ATTEMPTS:
            break
        time.sleep(BUSY_SECONDS)
    return [results[place] for place in range(len(lines))]


def write_results(writer: "csv.Writer", lines: Sequence[NumberedLine], results: Sequence[LineResult]) -> Counter[str]:  # type: ignore[name-defined]
    """Write the lines of the report; return their numbers by outcome, refused ones by code."""
    counts = Counter[str]()
    for (number, line), result in zip(lines, results, strict=True):
        code = result.refusal.code if result.refusal else ""
        writer.writerow((number, line.user, line.reference, result.outcome.value, result.claim_id or "", code))
        counts[code or result.outcome.value] += 1
    return counts
