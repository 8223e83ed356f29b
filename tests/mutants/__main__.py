"""`make mutants`: change the code in small ways, one at a time, and see whether a test notices.

The changes are cosmic-ray's. They are made in a copy of the files, so that an interrupted run leaves the code as it was, and
each is judged by the tests named for its module (targets.py). What no test noticed is printed; `--sample` takes a part of all.
Ctrl-C ends a run with the report of what it has tried.
"""

import argparse
import ast
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from os import environ
from pathlib import Path

from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

from tests.mutants.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
COPY = ROOT / ".mutants" / "tree"
# Between types `|` does nothing while the code runs but fail at its import.
LEFT_OUT = "core/ReplaceBinaryOperator_BitOr_"
CONFIG = """\
[cosmic-ray]
module-path = "{module}"
timeout = 300.0
excluded-modules = []
test-command = "{python} -m pytest -x -q -p no:cacheprovider --reuse-db {tests}"
[cosmic-ray.distributor]
name = "local"
"""


def main() -> int:
    """Make the changes, print what no test noticed, and return 1 when there is such a change."""
    asked = arguments()
    copy_the_code()
    modules = [module for module in TARGETS if not asked.only or module.startswith(asked.only)]
    for module in modules:
        prepare(module)
    chosen = choose(modules, asked.sample, asked.seed)
    modules = [module for module in modules if chosen[module]]
    # Without a change they pass, or nothing is learnt. They make the database that the tests of each change find.
    run(sys.executable, "-m", "pytest", "-x", "-q", "--reuse-db", "--create-db", *tests_of(modules))
    try:
        for module in modules:
            print(f"{module}: {chosen[module]} changes", flush=True)
            cosmic_ray("exec", f"{name(module)}.toml", f"{name(module)}.sqlite")
    except KeyboardInterrupt:
        print("ended early", flush=True)
    return report(modules, asked, chosen.total())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--sample", default="80", help="how many changes are tried, or all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which ones: the same seed takes the same (default: %(default)s)")
    parser.add_argument("--only", nargs="*", type=str, default=(), help="only modules that begin so, e.g. wallet/ledger")
    asked = parser.parse_args()
    asked.only = tuple(asked.only)
    return asked


def copy_the_code() -> None:
    """Copy what git knows of, as it is now; the copy has its own place, and by that its own local servers."""
    shutil.rmtree(COPY, ignore_errors=True)
    tracked = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for path in filter(None, tracked.stdout.decode().split("\0")):
        if (ROOT / path).is_file() and not (ROOT / path).is_symlink():
            (COPY / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, COPY / path)


def name(module: str) -> Path:
    return COPY.parent / module.replace("/", "-").removesuffix(".py")


def prepare(module: str) -> None:
    """Have cosmic-ray find all changes of one module."""
    tests = " ".join(tests_of([module]))
    Path(f"{name(module)}.toml").write_text(CONFIG.format(module=module, python=sys.executable, tests=tests))
    cosmic_ray("init", "--force", f"{name(module)}.toml", f"{name(module)}.sqlite")


def tests_of(modules: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(test for module in modules for test in TARGETS[module].split()))


def cosmic_ray(*arguments: str) -> None:
    run(str(Path(sys.executable).with_name("cosmic-ray")), *arguments)


def run(*command: str) -> None:
    """Run a command in the copy, or end with what it said."""
    # Two versions of a file may have one size and one second: no compiled file may stand for either.
    environment = {**environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3_000:]}{done.stderr[-3_000:]}")


def sessions(modules: Sequence[str]) -> Iterator[tuple[str, WorkDB]]:
    for module in modules:
        with use_db(f"{name(module)}.sqlite", WorkDB.Mode.open) as session:
            yield module, session


def choose(modules: Sequence[str], sample: str, seed: int) -> Counter[str]:
    """Leave all changes aside but a random part of them; return how many are left in each module."""
    found = [item for _, session in sessions(modules) for item in session.work_items]
    mixed = random.Random(seed).sample(sorted(found, key=place), len(found))
    kept = list(islice(filter(is_meant, mixed), None if sample == "all" else int(sample)))
    print(f"{len(kept)} of {len(found)} changes, seed {seed}")
    for _, session in sessions(modules):
        aside = {item.job_id for item in session.work_items} - {item.job_id for item in kept}
        session.set_multiple_results(aside, WorkResult(worker_outcome=WorkerOutcome.SKIPPED))
    return Counter(str(item.mutations[0].module_path) for item in kept)


def place(item: WorkItem) -> tuple[str, str, int, str]:
    spec = item.mutations[0]
    return str(spec.module_path), spec.operator_name, spec.occurrence, str(spec.operator_args)


def is_meant(item: WorkItem) -> bool:
    """Tell whether a change says something else: not of types, and not what is no Python (a bare `*` between parameters)."""
    spec = item.mutations[0]
    if spec.operator_name.startswith(LEFT_OUT):
        return False
    operator = get_operator(spec.operator_name)(**spec.operator_args)
    changed = mutate_code((COPY / spec.module_path).read_text(), operator, spec.occurrence)
    try:
        return bool(ast.parse(changed or "").body)
    except SyntaxError:
        return False


def report(modules: Sequence[str], asked: argparse.Namespace, chosen: int) -> int:
    tried = survived = late = 0
    for _, session in sessions(modules):
        work = {item.job_id: item for item in session.work_items}
        for job, result in session.results:
            if result.worker_outcome == WorkerOutcome.SKIPPED:
                continue
            tried += 1
            late += result.output == "timeout"
            if result.test_outcome == TestOutcome.SURVIVED:
                survived += 1
                spec = work[job].mutations[0]
                print(f"\n{spec.module_path}:{spec.start_pos[0]} {spec.operator_name}\n{result.diff}")
    noticed = f"{tried - survived} of {tried} changes were noticed ({(tried - survived) / max(tried, 1):.0%})"
    print(f"{noticed}, {late} of them because the tests did not end; {chosen - tried} were not tried; seed {asked.seed}")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
