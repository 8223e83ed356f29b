"""Downloads that are written to a temporary file first, so that a slow client holds a file and no database connection."""

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
# Files that this process writes or sends at once: each takes disk space and a thread.
OPEN_FILES = Slots(count=4, max_waiting=0)


class FileTooLarge(BadRequest):
    code = "too_many_rows"
    meaning = _("The export would exceed the largest file that the server creates.")
    detail = _("This list is too large to export. Narrow it with filters.")


class SpooledFileResponse(FileResponse):
    """A file as an attachment, which releases its slot of OPEN_FILES when it is closed or garbage-collected."""

    block_size = 64 * 1024

    def __init__(self, file: IO[bytes], name: str, content_type: str) -> None:
        super().__init__(file, as_attachment=True, filename=name, content_type=content_type)
        self.release_slot = weakref.finalize(self, OPEN_FILES.release, 0.0)

    def close(self) -> None:
        """Close the file, which deletes it, and release the slot."""
        super().close()
        self.release_slot()


def file_response(name: str, content_type: str, write: Callable[[IO[bytes]], Any]) -> SpooledFileResponse:
    """Return the response with the file that `write` writes; raise ReadsBusy if too many are open or the disk is full."""
    OPEN_FILES.acquire()
    file = tempfile.TemporaryFile()  # noqa: SIM115  (the response closes it)
    try:
        write(file)
        file.seek(0)
        return SpooledFileResponse(file, name, content_type)
    except BaseException as error:
        file.close()
        OPEN_FILES.release(0.0)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ReadsBusy from error
        raise


def yield_with_pauses(items: Iterable[Item], chunk_size: int = 1, pauses: float = 1.0) -> Iterator[Item]:
    """Yield the items. While the process serves other requests, sleep after each `chunk_size` items, to leave them the CPU.

    Python runs one thread of a process at a time: without pauses every claim in the process would wait for the file.

    Arguments:
        pauses: how long to sleep, as a multiple of the CPU time of this thread since the last pause.
    """
    started, served = time.thread_time(), count_batched_items()
    for number, item in enumerate(items, start=1):
        yield item
        if number % chunk_size == 0:
            now_served = count_batched_items()
            if now_served != served:
                time.sleep(pauses * (time.thread_time() - started))
            started, served = time.thread_time(), now_served


def csv_file_response(name: str, chunks: Iterable[str | bytes]) -> SpooledFileResponse:
    """Return the response with chunks of CSV; raise ReadsBusy, or FileTooLarge beyond EXPORT_MEGABYTES."""
    return text_file_response(name, "text/csv; charset=utf-8", chunks)


def json_file_response(name: str, chunks: Iterable[str]) -> SpooledFileResponse:
    """Return the response with chunks of JSON; raise ReadsBusy, or FileTooLarge beyond EXPORT_MEGABYTES."""
    return text_file_response(name, "application/json", chunks)


def text_file_response(name: str, content_type: str, chunks: Iterable[str | bytes]) -> SpooledFileResponse:
    """Return the response with chunks of text; raise ReadsBusy, or FileTooLarge beyond EXPORT_MEGABYTES."""

    def write(file: IO[bytes]) -> None:
        remaining = settings.EXPORT_MEGABYTES * MEGABYTE
        for chunk in yield_with_pauses(chunks, pauses=CSV_PAUSES):
            remaining -= file.write(chunk if isinstance(chunk, bytes) else chunk.encode())
            if remaining < 0:
                raise FileTooLarge

    return file_response(name, content_type, write)
