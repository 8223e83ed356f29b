"""What a claim costs the database, by the number of web processes that share a load of few, some and many connections."""

import itertools
from contextlib import ExitStack
from functools import partial

from dev.bench.campaign import CONNECTIONS, create_campaign
from dev.bench.claims_http import CLAIMS, EVERYTHING_ON, QUICK_CLAIMS
from dev.bench.cpu import measure_load
from dev.bench.environment import BenchEnvironment
from dev.bench.results import Figure
from dev.chaos.experiment import web_environment
from dev.race import web_server

PROCESSES = (1, 2, 4)
LOADS = (8, CONNECTIONS, 96)  # connections
TIMES_ONE = 1.3  # the database's CPU a claim with four processes, beside one


def bench_hosts(environment: BenchEnvironment) -> list[Figure]:
    """Claim from a pool over HTTP through one, two and four web processes, all with the same load."""
    size = environment.size(CLAIMS, QUICK_CLAIMS)
    campaign = create_campaign(environment)
    figures = []
    with ExitStack() as stack:
        environ = web_environment(**EVERYTHING_ON)
        servers = {
            count: stack.enter_context(web_server.web_server(environ, "--preload", "--workers", str(count)))
            for count in PROCESSES
        }
        environment.undisturbed(lambda: [campaign.claim_any(server.port, size // 5) for server in servers.values()])
        for connections, count in itertools.product(LOADS, PROCESSES[1:]):
            claim = partial(campaign.claim_any, connections=connections)
            rounds = environment.alternate(
                partial(measure_load, servers[count], size, claim), partial(measure_load, servers[1], size, claim)
            )
            what = f"{connections} connections: {count} web processes beside one"
            target = TIMES_ONE if (connections, count) == (CONNECTIONS, PROCESSES[-1]) else None
            cost = [(many.database_milliseconds, one.database_milliseconds) for many, one in rounds]
            figures += [
                Figure(f"CPU of a claim in PostgreSQL, {what}", target, "less", cost, "ms"),
                Figure(f"claims, {what}", None, "more", [(many.rate, one.rate) for many, one in rounds], "claims/s"),
            ]
    campaign.check()
    return figures
