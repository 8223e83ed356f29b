"""The mistakes of an imported file: the first ones one by one, all of them in groups, and the pools that do not exist."""

import re
from collections import Counter
from dataclasses import dataclass, field

from django.utils.translation import gettext_noop as _
from django.utils.translation import ngettext

from kernel.refusals import BadRequest
from wallet.actions.csv_rows import Mistake

MAX_LISTED_MISTAKES = 50  # the others are only counted
MAX_GROUPS = 100
MAX_MISSING_POOLS = 200
LINES_PER_GROUP = 5
QUOTED = re.compile(r'"[^"]*"')


@dataclass
class MistakeGroup:
    """Equal mistakes of one column: the first sentence, how many lines, and the first lines."""

    column: str | None
    message: str
    count: int = 0
    lines: list[int] = field(default_factory=list)


@dataclass
class MissingPool:
    """A pool that a file names and that does not exist: on how many lines, and in which currencies."""

    name: str
    count: int = 0
    currencies: Counter[str] = field(default_factory=Counter)


class MistakeLog:
    """Collects mistakes within a bounded memory."""

    def __init__(self) -> None:
        self.first: list[Mistake] = []
        self.count = 0
        self.groups: dict[tuple[str | None, str], MistakeGroup] = {}
        self.missing_pools: dict[str, MissingPool] = {}

    def add(self, mistake: Mistake) -> None:
        """Count a mistake."""
        self.count += 1
        if len(self.first) < MAX_LISTED_MISTAKES:
            self.first.append(mistake)
        kind = "pool" if mistake.missing_pool else QUOTED.sub('""', mistake.message)
        key = (mistake.column, kind)
        if key in self.groups or len(self.groups) < MAX_GROUPS:
            group = self.groups.setdefault(key, MistakeGroup(mistake.column, mistake.message))
            group.count += 1
            group.lines += [mistake.line] if len(group.lines) < LINES_PER_GROUP else []
        if mistake.missing_pool and (mistake.missing_pool in self.missing_pools or len(self.missing_pools) < MAX_MISSING_POOLS):
            missing = self.missing_pools.setdefault(mistake.missing_pool, MissingPool(mistake.missing_pool))
            missing.count += 1
            missing.currencies.update([mistake.currency] if mistake.currency else [])

    def largest_groups(self) -> list[MistakeGroup]:
        """Return the groups, the largest first; the one of missing pools says how many there are."""
        if pools := self.groups.get(("pool", "pool")):
            pools.message = missing_pools_sentence(list(self.missing_pools.values()), pools.count)
        return sorted(self.groups.values(), key=lambda group: -group.count)

    def only_missing_pools(self) -> bool:
        """Return whether the file would be right if its pools existed."""
        pools = self.groups.get(("pool", "pool"))
        return pools is not None and pools.count == self.count and len(self.missing_pools) < MAX_MISSING_POOLS


def missing_pools_sentence(pools: list[MissingPool], lines: int) -> str:
    """Return how many pools do not exist, on how many lines, and their names."""
    text = ngettext("%(pools)s pool does not exist: %(lines)s.", "%(pools)s pools do not exist: %(lines)s.", len(pools))
    count = ngettext("%(count)s line", "%(count)s lines", lines) % {"count": f"{lines:,}"}
    names = ", ".join(f'"{pool.name[:100]}" ({pool.count:,})' for pool in pools[:10])
    return f"{text % {'pools': len(pools), 'lines': count}} {names}{'' if len(pools) <= 10 else ', …'}"


class FileRefused(BadRequest):
    """`mistakes` holds the first MAX_LISTED_MISTAKES, `count` is the number of all, `groups` has all of them by kind.

    `missing_pools` are the pools that do not exist; `only_missing_pools` is True if nothing else is wrong. `line` is the last
    line read if reading stopped at too many invalid lines.
    """

    code = "file_refused"
    meaning = _("The imported file has errors, so nothing was issued.")
    detail = _("The file has errors. Correct them and import it again.")

    def __init__(self, log: MistakeLog, line: int | None = None) -> None:
        where = f"in its first {line:,} lines; the rest was not read" if line else "in the file"
        super().__init__(f"Nothing was imported: {log.count:,} mistake{'' if log.count == 1 else 's'} {where}.")
        self.mistakes, self.count, self.groups = log.first, log.count, log.largest_groups()
        self.missing_pools = list(log.missing_pools.values())
        self.only_missing_pools = line is None and log.only_missing_pools()


class TooManyKinds(BadRequest):
    code = "file_refused"
    meaning = _("The imported file has too many different rows for an import in the browser.")
    detail = _("Nothing was imported: too many rows differ in more than their title. Split it, or use manage.py import_assets.")


class FileChanged(BadRequest):
    code = "file_changed"
    meaning = _("The file differs from the one that was checked.")
    detail = _("Nothing was imported: the file, or a pool that it names, changed after the file was checked. Import it again.")


class FileEmpty(BadRequest):
    code = "file_empty"
    meaning = _("The imported file has no credits.")
    detail = _("This file has no credits. Give it a header row and one row per credit.")
