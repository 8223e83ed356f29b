"""Network faults: lost replies to COMMIT between PostgreSQL and web, and lost responses between web and client."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from dev.chaos.experiment import APP_ROLE, Experiment, Outcome, RunningLoad, under_load, web_environment
from dev.chaos.proxy import DroppedAnswer, DroppedCommit, Proxy, proxy_socket
from dev.race import scratch_database, web_server
from dev.services.paths import POSTGRES_PORT

SHARE = 0.1
WORKERS = 4  # concurrent claims in one worker share a COMMIT: more workers commit more often, so that more replies can be lost


def lose_commits(experiment: Experiment) -> Outcome:
    """T5: one reply to COMMIT in ten is lost; the web and the clients retry with the same key."""
    with before_postgres(experiment, SHARE) as (proxy, url):

        def inject(load: RunningLoad) -> int:
            time.sleep(experiment.seconds)
            return proxy.cuts

        return under_load(experiment, inject, environ=web_environment(DATABASE_URL=url), workers=WORKERS)


@contextmanager
def before_postgres(experiment: Experiment, share: float = 0) -> Iterator[tuple[Proxy, str]]:
    """Run a proxy for PostgreSQL that loses a share of the replies to COMMIT; yield it and the web's URL through it."""
    wire = proxy_socket(experiment.servers.instance.folder / "wire")
    with Proxy(DroppedCommit, experiment.servers.instance.postgres_socket, wire, share, experiment.random) as proxy:
        yield (
            proxy,
            f"postgresql://{APP_ROLE}@:{POSTGRES_PORT}/{scratch_database.PREFIX}{experiment.name.lower()}?host={wire.parent}",
        )


def lose_answers(experiment: Experiment) -> Outcome:
    """T6: clients are cut off after their request, or before the last byte of the response; they retry."""
    proxies = []

    @contextmanager
    def between(server: web_server.Web) -> Iterator[int]:
        with Proxy(DroppedAnswer, server.port, None, SHARE, experiment.random) as proxy:
            proxies.append(proxy)
            yield proxy.port

    def inject(load: RunningLoad) -> int:
        time.sleep(experiment.seconds)
        return proxies[0].cuts

    return under_load(experiment, inject, port=between)
