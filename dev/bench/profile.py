"""The profile of one claim: what its CPU in Python goes to, today and before."""

import contextlib
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from dev.bench import claims_http
from dev.bench.environment import BenchEnvironment
from dev.bench.git_revisions import BEFORE, checkout
from dev.bench.results import Figure
from dev.race import web_server

SAMPLES_A_SECOND = 100
PATIENCE_SECONDS = 60  # until the sampler has written what it saw
# Whose work a line of code is, by how its file's name begins; of several beginnings the longest counts.
PARTS = {
    "accounts/": "the product's own code",
    "accounts/authentication.py": "who asks: the token and its user",
    "accounts/throttles.py": "the limit: counting in Redis",
    "kernel/batching.py": "the product's own code: calling companies together",
    "cashback/": "the product's own code",
    "cashback/database/": "the ORM and the driver of PostgreSQL",
    "cashback/redis_cache.py": "the limit: counting in Redis",
    "cashback/gunicorn_worker/worker.py": "gunicorn: HTTP and threads",
    "django/": "Django around the view",
    "django/core/cache/": "the limit: counting in Redis",
    "django/db/": "the ORM and the driver of PostgreSQL",
    "django_htmx/": "Django around the view",
    "django_ratelimit/": "the limit: counting in Redis",
    "django_redis/": "the limit: counting in Redis",
    "gunicorn/": "gunicorn: HTTP and threads",
    "jwt/": "who asks: the token and its user",
    "psycopg/": "the ORM and the driver of PostgreSQL",
    "psycopg_pool/": "the ORM and the driver of PostgreSQL",
    "redis/": "the limit: counting in Redis",
    "rest_framework/": "REST framework around the claim",
    "rest_framework_simplejwt/": "who asks: the token and its user",
    "wallet/": "the product's own code",
    "whitenoise/": "Django around the view",
}
REST = "the rest"


class NotSeen(Exception):
    """The sampler may not look into the web's processes, or saw nothing there."""


def bench_profile(environment: BenchEnvironment) -> list[Figure]:
    """Ask for the CPU that a claim costs the web's processes, and sample what they are at meanwhile."""
    size = environment.size(claims_http.CLAIMS, claims_http.QUICK_CLAIMS)
    here = claims_http.create_campaign(environment)
    costs: dict[str, list[Counter[str]]] = {"now": [], "before": []}
    with contextlib.ExitStack() as stack:
        servers = {
            "now": stack.enter_context(claims_http.warm_server()),
            "before": stack.enter_context(claims_http.warm_server(stack.enter_context(checkout(BEFORE)))),
        }
        for server in servers.values():
            here.claim_each(server.port, size // 10)
        for number in range(environment.rounds):
            environment.tell(f"round {number + 1} of {environment.rounds}")
            for name in list(servers)[:: -1 if number % 2 else 1]:
                costs[name].append(cost_by_part(here, servers[name], size))
    here.check()
    parts = sorted({part for each in costs["now"] + costs["before"] for part in each})
    rounds = list(zip(costs["now"], costs["before"], strict=True))
    totals = [(float(now.total()), float(before.total())) for now, before in rounds]
    how = (
        f"shared out by which code held the interpreter, looked at {SAMPLES_A_SECOND} times a second (py-spy);"
        " the kernel's share is spread alike"
    )
    whole = Figure("CPU of a claim in Python", None, "less", totals, "ms", how)
    parted = [
        Figure(f"of it: {part}", None, "less", [(now[part], before[part]) for now, before in rounds], "ms") for part in parts
    ]
    return [whole, *sorted(parted, key=lambda figure: -figure.yardstick)]


def cost_by_part(here: claims_http.Campaign, server: web_server.Web, size: int) -> Counter[str]:
    """Return the milliseconds of CPU that a claim costs, by part: measured undisturbed, shared out by a second run."""
    before = claims_http.cpu_seconds(server)
    here.claim_each(server.port, size)
    milliseconds = (claims_http.cpu_seconds(server) - before) / size * 1000
    with TemporaryDirectory() as folder:
        files = [Path(folder, str(pid)) for pid in server.workers()]
        samplers = [start_sampler(pid, file) for pid, file in zip(server.workers(), files, strict=True)]
        try:
            here.claim_each(server.port, size)
        finally:
            for each in samplers:
                each.send_signal(signal.SIGINT)  # write what was seen
            for each in samplers:
                each.wait(PATIENCE_SECONDS)
        seen = sum((sample_shares(file.read_text()) for file in files if file.exists()), Counter[str]())
        missing = [file for file in files if not file.exists()]
    if missing or not seen:
        raise NotSeen("py-spy may not look into the web's processes: run as root, or with kernel.yama.ptrace_scope=0")
    return Counter({part: milliseconds * count / seen.total() for part, count in seen.items()})


def start_sampler(pid: int, file: Path) -> subprocess.Popen[bytes]:
    """Start looking at which code holds the interpreter in a process, many times a second."""
    tool = Path(sys.executable).parent / "py-spy"
    how = ["--gil", "--rate", str(SAMPLES_A_SECOND), "--duration", "unlimited", "--format", "raw", "--output", str(file)]
    return subprocess.Popen([tool, "record", "--pid", str(pid), *how], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def sample_shares(text: str) -> Counter[str]:
    """Return how often each part was seen, from py-spy's lines: frames from the outermost in, and how often."""
    seen = Counter[str]()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        seen[part_of(stack.split(";"))] += int(count)
    return seen


def part_of(stack: list[str]) -> str:
    """Return whose work it is: the innermost frame of somebody's, for the standard library works for whoever called it."""
    for frame in reversed(stack):
        file = frame.rpartition("(")[2]
        if found := max((start for start in PARTS if file.startswith(start)), key=len, default=""):
            return PARTS[found]
    return REST
