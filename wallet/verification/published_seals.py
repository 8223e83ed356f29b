"""Seals published outside the database: a file of JSON lines, as `seal_ledger --export` writes it."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from wallet.ledger import signing
from wallet.ledger.models import Seal

FIELDS = {
    *("seq", "previous_root", "root", "from_xid", "to_xid", "count", "sums", "sealed_at"),
    *("public_key", "signature"),
}


SEALS_AT_ONCE = 1_000  # read from the file, and from the database by one query
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
    for line, exists in differing_seals(published, using):
        yield f"seal {line['seq']} " + ("differs from its published copy" if exists else "was published but does not exist")


def differing_seals(published: Path, using: str = "default") -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield each published seal that is not in the database as it was published, and whether one of its number is there."""
    lines = published_seals(published)
    while part := list(islice(lines, SEALS_AT_ONCE)):
        stored = Seal.objects.using(using).filter(seq__in=[line["seq"] for line in part])
        numbers = set(stored.values_list("seq", flat=True))
        kept = {seal.seq: signing.published_seal(seal) for seal in stored.well_formed().defer("leaves")}
        yield from ((line, line["seq"] in numbers) for line in part if kept.get(line["seq"]) != line)


def describe_lost_seals(published: Path) -> str:
    """Return one sentence about the published seals that are gone or differ in the database; empty if there are none."""
    gone: list[dict[str, Any]] = []
    different: list[dict[str, Any]] = []
    for line, exists in differing_seals(published):
        (different if exists else gone).append(line)
    found = [(what, lines) for what, lines in (("gone", gone), ("not as published", different)) if lines]
    return "; ".join(describe_seals(what, lines) for what, lines in found)


def describe_seals(what: str, lines: list[dict[str, Any]]) -> str:
    """Return published seals as text, e.g. "seals 4 to 6 are gone, with 9 entries (claims of 120.00 INR)"."""
    count = sum(line["count"] for line in lines)
    return f"{name_ranges(line['seq'] for line in lines)} {what}, with {count} entries ({sum_claims(lines)})"


def name_ranges(numbers: Iterable[int]) -> str:
    """Return numbers in order as text, e.g. "seals 4 to 9, 12 are"."""
    ordered = sorted(numbers)
    runs = [[number for _, number in run] for _, run in groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0])]
    named = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
    return f"seal {named} is" if len(ordered) == 1 else f"seals {named} are"


def sum_claims(lines: Iterable[dict[str, Any]]) -> str:
    """Return the sum of the claims per currency that published seals state, e.g. "claims of 120.00 INR"."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        for currency, amount in line["sums"].items():
            totals[currency] += Decimal(amount)
    return (
        "claims of " + ", ".join(f"{total} {currency}" for currency, total in sorted(totals.items())) if totals else "no claims"
    )
