"""Downloads that are written to a temporary file first, so that a slow client holds a file and no database connection."""

import errno
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, TypeVar

from django.conf import settings
from django.http import FileResponse

from kernel.refusals import Refusal
from kernel.slots import ReadsBusy, Slots

Item = TypeVar("Item")
MEGABYTE = 1024 * 1024
# Files that this process writes or sends at once: each takes disk space and a thread.
OPEN_FILES = Slots(count=4, max_waiting=0, rests=False)


class FileTooLarge(Refusal):
    """The export is larger than EXPORT_MEGABYTES."""

    code = "too_many_rows"
    detail = "This list is larger than a file may be: narrow it by its filters."


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


def yield_with_pauses(items: Iterable[Item], chunk_size: int = 1) -> Iterator[Item]:
    """Yield the items, and after each `chunk_size` of them sleep for as long as this thread has computed since.

    Python runs one thread of a process at a time: without pauses every claim in the process would wait for the file.
    """
    started = time.thread_time()
    for number, item in enumerate(items, start=1):
        yield item
        if number % chunk_size == 0:
            time.sleep(time.thread_time() - started)
            started = time.thread_time()


def csv_file_response(name: str, chunks: Iterable[str | bytes]) -> SpooledFileResponse:
    """Return the response with chunks of CSV; raise ReadsBusy, or FileTooLarge beyond EXPORT_MEGABYTES."""

    def write(file: IO[bytes]) -> None:
        remaining = settings.EXPORT_MEGABYTES * MEGABYTE
        for chunk in yield_with_pauses(chunks):
            remaining -= file.write(chunk if isinstance(chunk, bytes) else chunk.encode())
            if remaining < 0:
                raise FileTooLarge

    return file_response(name, "text/csv; charset=utf-8", write)
