"""The profile of one claim: its CPU in Python by part, today and before."""

import contextlib
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from dev.bench import claims_http, cpu
from dev.bench.campaign import Campaign, create_campaign
from dev.bench.environment import BenchEnvironment
from dev.bench.results import Figure
from dev.race import web_server

SAMPLES_A_SECOND = 100
WRITING_SECONDS = 60  # until the sampler has written its samples
PRODUCT, TOKEN, LIMIT = "the product's own code", "authentication: the token and its user", "the limit: counting in Redis"
BATCHING, HTTP, DJANGO = "the product's own code: batching", "gunicorn: HTTP and threads", "Django around the view"
SQL, REST_FRAMEWORK = "the ORM and the driver of PostgreSQL", "REST framework around the claim"
# The part that a source file belongs to, by the beginning of its path; the longest match counts. The second table has the
# paths of earlier revisions, where they differ.
TODAY = {
    "accounts/": PRODUCT,
    "accounts/authentication.py": TOKEN,
    "accounts/tokens.py": TOKEN,
    "accounts/throttles.py": LIMIT,
    "cashback/": PRODUCT,
    "cashback/database/": SQL,
    "cashback/gunicorn_worker/": HTTP,
    "cashback/redis_cache.py": LIMIT,
    "django/": DJANGO,
    "django/core/cache/": LIMIT,
    "django/db/": SQL,
    "django_htmx/": DJANGO,
    "django_ratelimit/": LIMIT,
    "django_redis/": LIMIT,
    "gunicorn/": HTTP,
    "jwt/": TOKEN,
    "kernel/": PRODUCT,
    "kernel/batching.py": BATCHING,
    "kernel/rate_limits.py": LIMIT,
    "psycopg/": SQL,
    "psycopg_pool/": SQL,
    "redis/": LIMIT,
    "rest_framework/": REST_FRAMEWORK,
    "rest_framework_simplejwt/": TOKEN,
    "wallet/": PRODUCT,
    "whitenoise/": DJANGO,
}
EARLIER = {
    "accounts/together.py": BATCHING,
    "cashback/connections.py": HTTP,
    "cashback/limited_sockets.py": HTTP,
    "cashback/polling.py": HTTP,
    "cashback/server_errors.py": HTTP,
    "cashback/store.py": LIMIT,
    "cashback/worker.py": HTTP,
}
PARTS = TODAY | EARLIER
REST = "the rest"


class ProfileUnavailable(Exception):
    """The sampler may not read the web's processes, or saw nothing there."""


def bench_profile(environment: BenchEnvironment) -> list[Figure]:
    """Measure the CPU that a claim costs the web's processes, and sample which code uses it."""
    size = environment.size(claims_http.CLAIMS, claims_http.QUICK_CLAIMS)
    campaign = create_campaign(environment)
    rounds: list[tuple[Counter[str], Counter[str]]] = []
    with contextlib.ExitStack() as stack:
        now = stack.enter_context(claims_http.warm_server())
        before = stack.enter_context(claims_http.baseline_server(environment))
        for server in (now, before):
            campaign.claim_each(server.port, size // 10)
        rounds = environment.alternate(lambda: cost_by_part(campaign, now, size), lambda: cost_by_part(campaign, before, size))
    campaign.check()
    parts = sorted({part for costs in rounds for cost in costs for part in cost})
    totals = [(float(today.total()), float(earlier.total())) for today, earlier in rounds]
    note = (
        f"divided by which code held the interpreter, sampled {SAMPLES_A_SECOND} times a second (py-spy);"
        " the kernel's share is divided alike"
    )
    whole = Figure("CPU of a claim in Python", None, "less", totals, "ms", note)
    by_part = [
        Figure(f"of it: {part}", None, "less", [(today[part], earlier[part]) for today, earlier in rounds], "ms")
        for part in parts
    ]
    return [whole, *sorted(by_part, key=lambda figure: -figure.yardstick)]


def cost_by_part(campaign: Campaign, server: web_server.Web, size: int) -> Counter[str]:
    """Return the milliseconds of CPU that a claim costs, by part: measured without the sampler, divided by a second run."""
    milliseconds = cpu.measure_load(server, size, campaign.claim_each).web_milliseconds
    with TemporaryDirectory() as folder:
        files = [Path(folder, str(pid)) for pid in server.workers()]
        samplers = [start_sampler(pid, file) for pid, file in zip(server.workers(), files, strict=True)]
        try:
            campaign.claim_each(server.port, size)
        finally:
            for sampler in samplers:
                sampler.send_signal(signal.SIGINT)  # write the samples
            for sampler in samplers:
                sampler.wait(WRITING_SECONDS)
        samples = sum((sample_shares(file.read_text()) for file in files if file.exists()), Counter[str]())
        missing = [file for file in files if not file.exists()]
    if missing or not samples:
        raise ProfileUnavailable("py-spy may not read the web's processes: run as root, or with kernel.yama.ptrace_scope=0")
    return Counter({part: milliseconds * count / samples.total() for part, count in samples.items()})


def start_sampler(pid: int, file: Path) -> subprocess.Popen[bytes]:
    """Start sampling which code holds the interpreter in a process."""
    tool = Path(sys.executable).parent / "py-spy"
    options = ["--gil", "--rate", str(SAMPLES_A_SECOND), "--duration", "unlimited", "--format", "raw", "--output", str(file)]
    return subprocess.Popen([tool, "record", "--pid", str(pid), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def sample_shares(text: str) -> Counter[str]:
    """Return the samples of each part, from py-spy's lines: frames from the outermost to the innermost, and a count."""
    samples = Counter[str]()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        samples[part_of(stack.split(";"))] += int(count)
    return samples


def part_of(stack: list[str]) -> str:
    """Return the part of the innermost frame that has one: the standard library counts as part of its caller."""
    for frame in reversed(stack):
        file = frame.rpartition("(")[2]
        if found := max((start for start in PARTS if file.startswith(start)), key=len, default=""):
            return PARTS[found]
    return REST
