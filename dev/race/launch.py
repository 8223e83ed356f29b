"""Launch of a race: a scratch database, a process for the runner, and its report."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from dev.race import scratch_database
from dev.race.plan import Plan
from dev.race.report import Report, from_json
from kernel.refusals import Refusal
from wallet.verification import claim_log
from wallet.verification.claim_log import Attempt

ROOT = Path(__file__).resolve().parents[2]
GRACE_SECONDS = 10


class RaceFailed(Refusal):
    """The race did not complete, so that it proves nothing."""

    code = "race_failed"
    detail = "The race could not be run."


def launch_race(plan: Plan, progress: Callable[[str], None] = lambda _: None) -> tuple[Report, list[Attempt]]:
    """Run a race and return its report and its log; the database of this process is not touched.

    Arguments:
        plan: the race.
        progress: called with "round" when a round begins, and with "verifying" at the end.

    Raises NoScratchDatabase, RaceFailed.
    """
    with scratch_run("dev.race", plan, progress) as (report, folder):
        return from_json(report), list(claim_log.read_log(folder / "attempts.jsonl"))


@contextmanager
def scratch_run(module: str, plan: Any, progress: Callable[[str], None]) -> Iterator[tuple[dict[str, Any], Path]]:
    """Run a module that races in a scratch database; yield its report and the folder of its files.

    Arguments:
        module: started with the plan and the folder; it prints messages, of which the last is the report.
        plan: a dataclass.
    """
    with scratch_database.scratch_database() as name, tempfile.TemporaryDirectory(prefix="prove-") as folder:
        environ = scratch_database.scratch_environment(name)
        yield run_in_subprocess([module, json.dumps(asdict(plan)), folder], Path(folder), environ, progress), Path(folder)


def run_in_subprocess(
    command: list[str], folder: Path, environ: dict[str, str], progress: Callable[[str], None]
) -> dict[str, Any]:
    """Start the runner, read its messages, and return its report."""
    with (folder / "errors.txt").open("w+") as errors:
        with runner_process(command, environ, errors) as output:
            for line in output:
                message = json.loads(line)
                if "report" in message:
                    report: dict[str, Any] = message["report"]
                    return report
                progress(message["now"])
        errors.seek(0)
        last = [line.strip() for line in errors if line.strip()][-1:]
    raise RaceFailed(f"{RaceFailed.detail} {' '.join(last) or 'It printed no error.'}")


@contextmanager
def runner_process(command: list[str], environ: dict[str, str], errors: IO[str]) -> Iterator[IO[str]]:
    """Run the runner and yield its output; terminate it and its children at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        # Ctrl-C must reach this process only, which then terminates the group.
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        terminate_runner(process)


def terminate_runner(process: subprocess.Popen[str]) -> None:
    """Terminate the runner and its children: SIGTERM, and SIGKILL after the grace period."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.1 if process.poll() is None else 0)
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
