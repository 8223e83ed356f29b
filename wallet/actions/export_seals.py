"""Export of seals out of the database: appended to a file, and handed to a command that takes them to another machine."""

import fcntl
import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wallet.ledger import signing
from wallet.ledger.models import Seal

SEALS_AT_ONCE = 1_000  # handed to the command, then appended and flushed to the disk
MAX_LINE_BYTES = 1 << 20  # more than a seal of every currency has
COMMAND_SECONDS = 30


class SealExportFailed(OSError):
    """The file cannot be read or written, or the command failed; what was not exported will be by the next export."""


@dataclass(frozen=True)
class SealExport:
    """How many seals were exported, and the numbers of those that cannot be because they are malformed."""

    count: int
    malformed: list[int]


def export_seals(file: Path, command: str = "") -> SealExport:
    """Append the seals after the last one of the file to it, one JSON object a line.

    Arguments:
        command: gets the same lines on its standard input, before they are appended; when it fails, they are not appended.

    Raises SealExportFailed.
    """
    try:
        with file.open("a+b") as lines:
            # Two exports to one file wait for each other.
            fcntl.flock(lines, fcntl.LOCK_EX)
            last = last_exported(lines)
            malformed = [seq for seq, _ in Seal.objects.filter(seq__gt=last).order_by("seq").malformed()]
            count = 0
            while part := next_seals(last):
                append_seals(part, lines, command)
                last, count = part[-1].seq, count + len(part)
            return SealExport(count, malformed)
    except (OSError, ValueError, KeyError) as error:
        raise SealExportFailed(f"Cannot append to {file}: {error}") from error


def next_seals(last: int) -> list[Seal]:
    """Return the first well-formed seals after a number, without a cursor: a command may take longer than a transaction may."""
    return list(Seal.objects.well_formed().filter(seq__gt=last).defer("leaves").order_by("seq")[:SEALS_AT_ONCE])


def append_seals(part: list[Seal], lines: IO[bytes], command: str) -> None:
    """Hand some seals to the command, then append them to the file."""
    text = "".join(json.dumps(signing.published_seal(seal)) + "\n" for seal in part).encode()
    if command:
        run_export_command(command, text)
    lines.write(text)
    lines.flush()
    os.fsync(lines.fileno())


def run_export_command(command: str, text: bytes) -> None:
    """Run the command, without a shell, with the lines on its standard input; raise SealExportFailed when it fails."""
    try:
        done = subprocess.run(shlex.split(command), input=text, capture_output=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SealExportFailed(f"SEAL_EXPORT_COMMAND: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise SealExportFailed(f"SEAL_EXPORT_COMMAND ended with {done.returncode}: {' '.join(said) or 'it printed no error'}")


def last_exported(lines: IO[bytes]) -> int:
    """Return the number of the last seal in the file, 0 if it is empty; read its end only, as it grows for years."""
    size = lines.seek(0, os.SEEK_END)
    if not size:
        return 0
    lines.seek(max(0, size - MAX_LINE_BYTES))
    return int(json.loads(lines.read().splitlines()[-1])["seq"])
