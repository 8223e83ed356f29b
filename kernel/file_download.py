"""Files that are complete before their first byte is sent: a client that reads slowly holds a file and no connection."""

import errno
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, TypeVar

from django.conf import settings
from django.http import FileResponse
from django.utils.translation import gettext_noop as _

from kernel.batching import count_batched_items
from kernel.refusals import BadRequest
from kernel.slots import ReadsBusy, Slots

Item = TypeVar("Item")
MEGABYTE = 1024 * 1024
# Pauses while a CSV file is written beside other requests, as a multiple of this thread's CPU time. PostgreSQL works 1.4 times
# as long on a line of CSV as this thread, and keeps to a share of one core. A line of a spreadsheet hardly costs PostgreSQL.
CSV_PAUSES = 5.0
# Files of this process that are being written or sent: each takes disk space and a thread.
OPEN_FILES = Slots(most=4, most_waiting=0)


class FileTooLarge(BadRequest):
    code = "too_many_rows"
    meaning = _("The export would exceed the largest file that the server creates.")
    detail = _("This list is too large to export. Narrow it with filters.")


class SpooledFileResponse(FileResponse):
    """A file as an attachment; its place among the open files is free when it is closed or forgotten."""

    block_size = 64 * 1024

    def __init__(self, file: IO[bytes], name: str, content_type: str) -> None:
        super().__init__(file, as_attachment=True, filename=name, content_type=content_type)
        self.free_place = weakref.finalize(self, OPEN_FILES.leave, 0.0)

    def close(self) -> None:
        """Close the file, which ends it."""
        super().close()
        self.free_place()


def file_response(name: str, content_type: str, write: Callable[[IO[bytes]], Any]) -> SpooledFileResponse:
    """Answer with the file that `write` writes; raise ReadsBusy when too many are open or the disk is full."""
    OPEN_FILES.take()
    file = tempfile.TemporaryFile()  # noqa: SIM115  (the answer closes it)
    try:
        write(file)
        file.seek(0)
        return SpooledFileResponse(file, name, content_type)
    except BaseException as error:
        file.close()
        OPEN_FILES.leave(0.0)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ReadsBusy from error
        raise


def with_pauses(items: Iterable[Item], at_once: int = 1, pauses: float = 1.0) -> Iterator[Item]:
    """Yield the items. While the process serves other requests, sleep after each `at_once` items, to leave them the CPU.

    Python runs one thread of a process at a time: without pauses every claim of the process would wait for the file.

    Arguments:
        pauses: how long to sleep, as a multiple of the CPU time of this thread since the last pause.
    """
    computed, served = time.thread_time(), count_batched_items()
    for number, item in enumerate(items, start=1):
        yield item
        if number % at_once == 0:
            now_served = count_batched_items()
            if now_served != served:
                time.sleep(pauses * (time.thread_time() - computed))
            computed, served = time.thread_time(), now_served


def csv_file_response(name: str, pieces: Iterable[str | bytes]) -> SpooledFileResponse:
    """Answer with CSV that comes in pieces; raise ReadsBusy, or FileTooLarge beyond EXPORT_MEGABYTES."""

    def write(file: IO[bytes]) -> None:
        left = settings.EXPORT_MEGABYTES * MEGABYTE
        for piece in with_pauses(pieces, pauses=CSV_PAUSES):
            left -= file.write(piece if isinstance(piece, bytes) else piece.encode())
            if left < 0:
                raise FileTooLarge

    return file_response(name, "text/csv; charset=utf-8", write)
