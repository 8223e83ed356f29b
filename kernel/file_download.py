"""Files that are written whole before the first byte is sent: whoever reads one slowly holds a file, and no connection."""

import errno
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, TypeVar

from django.conf import settings
from django.http import FileResponse
from django.utils.translation import gettext_noop as _

from kernel.refusals import BadRequest
from kernel.slots import ReadsBusy, Slots

Item = TypeVar("Item")
MEGABYTE = 1024 * 1024
# Rests of a file's thread, by the time it computed. PostgreSQL works 1.4 times as long on a line of CSV as this thread,
# which must not read faster than a share of one core allows; a line of a spreadsheet is hardly any work for PostgreSQL.
CSV_PAUSES = 5.0
# Files of this process that are being written or sent: each takes room on the disk and a thread.
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
    """Yield the items, and rest after `at_once` of them `pauses` times as long as this thread computed meanwhile.

    Python runs one thread of a process at a time: without a rest every claim of the process would wait for the file.
    """
    computed = time.thread_time()
    for number, item in enumerate(items, start=1):
        yield item
        if number % at_once == 0:
            time.sleep(pauses * (time.thread_time() - computed))
            computed = time.thread_time()


def csv_file_response(name: str, pieces: Iterable[str | bytes]) -> SpooledFileResponse:
    """Answer with CSV that comes in pieces; raise ReadsBusy, or FileTooLarge beyond EXPORT_MEGABYTES."""

    def write(file: IO[bytes]) -> None:
        left = settings.EXPORT_MEGABYTES * MEGABYTE
        for piece in with_pauses(pieces, pauses=CSV_PAUSES):
            left -= file.write(piece if isinstance(piece, bytes) else piece.encode())
            if left < 0:
                raise FileTooLarge

    return file_response(name, "text/csv; charset=utf-8", write)
