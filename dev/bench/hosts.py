"""What a claim costs the database, by the number of web processes that share the same load."""

from contextlib import ExitStack

from dev.bench.campaign import CONNECTIONS, create_campaign
from dev.bench.claims_http import CLAIMS, EVERYTHING_ON, QUICK_CLAIMS
from dev.bench.cpu import measure
from dev.bench.environment import BenchEnvironment
from dev.bench.results import Figure
from dev.chaos.experiment import web_environment
from dev.race import web_server

PROCESSES = (1, 2, 4)
TIMES_ONE = 1.3  # the database's CPU a claim with four processes, beside one


def bench_hosts(environment: BenchEnvironment) -> list[Figure]:
    """Claim from a pool over HTTP through one, two and four web processes, all with the same connections."""
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
        for count in PROCESSES[1:]:
            rounds = environment.alternate(
                lambda server=servers[count]: measure(server, size, campaign.claim_any),  # type: ignore[misc]
                lambda: measure(servers[1], size, campaign.claim_any),
            )
            what = f"{CONNECTIONS} connections: {count} web processes beside one"
            target = TIMES_ONE if count == PROCESSES[-1] else None
            cost = [(many.database_milliseconds, one.database_milliseconds) for many, one in rounds]
            figures += [
                Figure(f"CPU of a claim in PostgreSQL, {what}", target, "less", cost, "ms"),
                Figure(f"claims, {what}", None, "more", [(many.rate, one.rate) for many, one in rounds], "claims/s"),
            ]
    campaign.check()
    return figures
