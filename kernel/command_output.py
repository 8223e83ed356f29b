"""Standard output of commands: when it cannot be written, the command ends in one line, without a traceback."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

CLOSED_PIPE = 141  # the exit code of a shell's command that SIGPIPE ended
# A full disk or quota, a file too large, a broken device.
OUTPUT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@contextmanager
def checked_output() -> Iterator[None]:
    """Run a command and flush its output.

    Exits with 1 and one line when the output cannot be written, with 141 when the pipe is closed.
    """
    try:
        try:
            yield
        finally:
            # Python flushes at exit, too late to report an error in one line.
            sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        sys.exit(CLOSED_PIPE)
    except UnicodeEncodeError as error:
        letters = ascii(error.object[error.start : error.end][:20])
        sys.exit(f"Cannot write {letters} in the encoding {error.encoding}: set PYTHONIOENCODING=utf-8 and try again.")
    except OSError as error:
        if error.errno not in OUTPUT_ERRORS:
            raise
        discard_output()
        sys.exit(f"Cannot write the output ({error.strerror}).")


def discard_output() -> None:
    """Discard what is still buffered, so that the flush at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
