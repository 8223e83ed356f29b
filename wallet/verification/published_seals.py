"""Seals published outside the database: a file of JSON lines, as `seal_ledger --export` writes it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wallet.ledger import signing
from wallet.ledger.models import Seal

FIELDS = {
    *("seq", "previous_root", "root", "from_xid", "to_xid", "count", "sums", "sealed_at"),
    *("public_key", "signature"),
}


FIELDS_OF_VERSION_2 = FIELDS | {"version", "kinds", "position"}


class InvalidSealFile(ValueError):
    """The file is not in the format of `seal_ledger --export`; the message names the line."""


def published_seals(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the published seals of a file. Raises InvalidSealFile if it has none or anything else."""
    number = 0
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                yield parse_seal_line(line, f"{file}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSealFile(f"{file} cannot be read: {error}") from error
    if not number:
        raise InvalidSealFile(f"{file} contains no seals")


def parse_seal_line(line: str, location: str) -> dict[str, Any]:
    """Return the seal of one line; raise InvalidSealFile."""
    try:
        seal = json.loads(line)
    except ValueError:
        seal = None
    if not isinstance(seal, dict) or seal.keys() not in (FIELDS, FIELDS_OF_VERSION_2) or not isinstance(seal["seq"], int):
        raise InvalidSealFile(f"{location}: not a seal written by seal_ledger --export")
    return seal


def publication_violations(published: Path, using: str = "default") -> Iterator[str]:
    """Yield the published seals that are missing from the database or differ there."""
    for line in published_seals(published):
        stored = Seal.objects.using(using).filter(seq=line["seq"])
        seal = stored.well_formed().defer("leaves").first()
        if seal is None and not stored.exists():
            yield f"seal {line['seq']} was published but does not exist"
        elif seal is None or signing.published_seal(seal) != line:
            yield f"seal {line['seq']} differs from its published copy"
