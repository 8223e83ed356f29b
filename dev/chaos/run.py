"""Run faults in a process of their own, on servers of their own, and hand over what each came to."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dev.chaos import test_servers
from dev.race import launch

# Lived by everything below: the proof's own settings, whatever the caller's say.
ENVIRONMENT = {
    "CASHBACK_ENV": "local",
    "DJANGO_SETTINGS_MODULE": "cashback.settings",
    "REDIS_TIMEOUT_MS": "100",
    "RATE_CLAIM": "off",
    "RATE_SEARCH": "off",
    "RATE_EXPORT": "off",
    "CLAIM_LOCK": "",
    "ACCESS_TOKEN_MINUTES": "1000",
    "ALLOWED_HOSTS": "127.0.0.1",
    "HTTPS": "off",
    "TRUSTED_PROXIES": "0",
    "LOG_LEVEL": "CRITICAL",
    "PYTHONUNBUFFERED": "1",
    "CASHBACK_LOCAL_PROFILE": "prove",
}
# What is proved is what the product waits by itself.
UNSAID = {"STATEMENT_TIMEOUT_MS", "LOCK_TIMEOUT_MS"}


def run_faults(
    seconds: Mapping[str, float], seed: int, begins: Callable[[str], None] = lambda _: None, keep: Path | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run each fault for its seconds and yield its name and outcome (see Outcome) as it ends.

    Arguments:
        seconds: how long each fault strikes, by its name, in the order in which they are to run.
        seed: the same seed throws the same dice.
        begins: told the name of each fault as it begins.
        keep: a folder in which the clients' logs are left, one JSON object a line.

    Raises RaceFailed.
    """
    for folder, word in run_module("dev.chaos", str(seed), json.dumps(dict(seconds))):
        if "now" in word:
            begins(word["now"])
            continue
        if keep:
            (keep / f"{word['fault']}.jsonl").write_bytes((folder / f"{word['fault']}.jsonl").read_bytes())
        yield word["fault"], word["outcome"]


def run_module(module: str, *arguments: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Run a module in a folder for servers of its own, gone afterwards, and yield the folder with each word it says.

    The module is given the folder and the arguments, and says one JSON object a line. Raises RaceFailed when it breaks.
    """
    with test_servers.servers_folder() as folder, (folder / "errors.txt").open("w+") as errors:
        command = [sys.executable, "-m", module, str(folder), *arguments]
        said = {name: value for name, value in os.environ.items() if name not in UNSAID}
        environ = said | ENVIRONMENT | {"CASHBACK_STATE": str(folder)}
        process = subprocess.Popen(
            command, cwd=launch.ROOT, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                yield folder, json.loads(line)
            if process.wait() != 0:
                errors.seek(0)
                raise launch.RaceFailed(f"{launch.RaceFailed.detail} {last_words(errors.read())}")
        finally:
            launch.terminate_runner(process)


def last_words(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "It ended without a word."
