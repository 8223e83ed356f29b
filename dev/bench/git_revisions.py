"""The product's own code as it was, taken from its history, to run beside today's on the same database."""

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.race.launch import ROOT

# What made claims faster, step by step: the commit, and what it did.
BEFORE = "22fc66b"
STEPS = {
    BEFORE: "one claim a transaction, through the ORM",
    "276559d": "claims that arrive together share one transaction; who asks is looked up together too",
    "f72e4bb": "one statement for who asks, one for the entries; a signature is checked once",
    "a9c0dac": "the API's addresses first; no serializer for an empty body",
    "04fb890": "fewer trips for a company, one question for a count, none to a connection from the pool",
    "858cf19": "a call with a token passes by what pages need",
    "8bd2633": "a busy connection stays with its thread, what never goes is spared the collector",
    "4aba573": "lock and look for room in one trip, hand over and write in another",
    "5146398": "each worker keeps to a core",
}


class NoHistory(Exception):
    """This copy of the project has no history to take the earlier code from."""


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Yield a folder with the project as it was at the commit; raise NoHistory when it is not known here."""
    command = ["git", "-C", str(ROOT), "archive", commit]
    try:
        archive = subprocess.run(command, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoHistory(f"commit {commit} is not in the history of {ROOT.name}") from error
    with tempfile.TemporaryDirectory(prefix="earlier-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        yield Path(folder)
