"""Faults in a process of their own, on temporary servers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dev.chaos import test_servers
from dev.race import launch

# The settings of every run; they override those of the caller.
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
# Removed, so that the product's own time limits apply.
REMOVED = {"STATEMENT_TIMEOUT_MS", "LOCK_TIMEOUT_MS"}


def run_faults(
    seconds: Mapping[str, float], seed: int, on_start: Callable[[str], None] = lambda _: None, keep: Path | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run the faults one after the other and yield the name and outcome (see Outcome) of each.

    Arguments:
        seconds: the duration of each fault by its name, in the order of the run.
        seed: of all random choices.
        on_start: called with the name of each fault when it starts.
        keep: a folder to save the clients' logs in, one JSON object a line.

    Raises RaceFailed.
    """
    for folder, message in run_module("dev.chaos", str(seed), json.dumps(dict(seconds))):
        if "now" in message:
            on_start(message["now"])
            continue
        if keep:
            (keep / f"{message['fault']}.jsonl").write_bytes((folder / f"{message['fault']}.jsonl").read_bytes())
        yield message["fault"], message["outcome"]


def run_module(module: str, *arguments: str, prefix: Sequence[str] = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Run a module with a temporary folder for its servers, and yield the folder with each message of the module.

    The module gets the folder and the arguments, and prints one JSON object a line. `prefix` is a command that runs it. Raises
    RaceFailed when it fails.
    """
    with test_servers.servers_folder() as folder, (folder / "errors.txt").open("w+") as errors:
        command = [*prefix, sys.executable, "-m", module, str(folder), *arguments]
        inherited = {name: value for name, value in os.environ.items() if name not in REMOVED}
        environ = inherited | ENVIRONMENT | {"CASHBACK_STATE": str(folder)}
        process = subprocess.Popen(
            command, cwd=launch.ROOT, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                yield folder, json.loads(line)
            if process.wait() != 0:
                errors.seek(0)
                raise launch.RaceFailed(f"{launch.RaceFailed.detail} {last_line(errors.read())}")
        finally:
            launch.terminate_runner(process)


def last_line(text: str) -> str:
    """Return the last line that is not blank."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "It printed no error."
