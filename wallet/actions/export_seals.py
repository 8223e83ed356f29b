"""Export of seals out of the database: appended to a file, and handed to a command that takes them to another machine."""

import fcntl
import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kernel.refusals import Refusal
from wallet.ledger import signing
from wallet.ledger.models import Seal

SEALS_AT_ONCE = 1_000  # handed to the command, then appended and flushed to the disk
MAX_LINE_BYTES = 1 << 20  # more than a seal of every currency has
COMMAND_SECONDS = 30


class SealExportFailed(Refusal):
    """The file cannot be read or written, or the command failed; what was not exported will be by the next export."""

    code = "seal_export_failed"
    detail = "The seals could not be exported."


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
            missing = Seal.objects.filter(seq__gt=last_exported(lines)).order_by("seq")
            malformed = [seq for seq, _ in missing.malformed()]
            return SealExport(sum(map_parts(missing, lines, command)), malformed)
    except (OSError, ValueError, KeyError) as error:
        raise SealExportFailed(f"Cannot append to {file}: {error}") from error


def map_parts(missing: Any, lines: IO[bytes], command: str) -> list[int]:
    """Export seals part by part, and return the size of each part."""
    sizes, part = list[int](), list[str]()
    for seal in missing.well_formed().defer("leaves").iterator(chunk_size=SEALS_AT_ONCE):
        part.append(json.dumps(signing.published_seal(seal)) + "\n")
        if len(part) == SEALS_AT_ONCE:
            sizes.append(export_part(part, lines, command))
            part = []
    return [*sizes, export_part(part, lines, command)] if part else sizes


def export_part(part: list[str], lines: IO[bytes], command: str) -> int:
    """Hand some lines to the command, append them to the file, and return their number."""
    text = "".join(part).encode()
    if command:
        run_export_command(command, text)
    lines.write(text)
    lines.flush()
    os.fsync(lines.fileno())
    return len(part)


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
