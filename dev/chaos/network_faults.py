"""The wire: the reply to COMMIT is lost on its way to the web, the answer on its way to the client."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from dev.chaos.experiment import APP_ROLE, Experiment, Outcome, RunningLoad, under_load, web_environment
from dev.chaos.proxy import DroppedAnswer, DroppedCommit, Proxy, proxy_socket
from dev.race import scratch_database, web_server
from dev.services.paths import POSTGRES_PORT

SHARE = 0.1
WORKERS = 4  # claims that meet in one worker share a COMMIT: in more workers fewer meet, and more replies can be lost


def lose_commits(experiment: Experiment) -> Outcome:
    """T5: one reply to COMMIT in ten is lost; the web and the clients try again with the same key."""
    with before_postgres(experiment, SHARE) as (proxy, url):

        def strike(load: RunningLoad) -> int:
            time.sleep(experiment.seconds)
            return proxy.cuts

        return under_load(experiment, strike, environ=web_environment(DATABASE_URL=url), workers=WORKERS)


@contextmanager
def before_postgres(experiment: Experiment, share: float = 0) -> Iterator[tuple[Proxy, str]]:
    """Put a proxy before PostgreSQL that loses that share of the replies to COMMIT; yield it and the web's URL through it."""
    wire = proxy_socket(experiment.servers.instance.folder / "wire")
    with Proxy(DroppedCommit, experiment.servers.instance.postgres_socket, wire, share, experiment.random) as proxy:
        yield (
            proxy,
            f"postgresql://{APP_ROLE}@:{POSTGRES_PORT}/{scratch_database.PREFIX}{experiment.name.lower()}?host={wire.parent}",
        )


def lose_answers(experiment: Experiment) -> Outcome:
    """T6: clients are cut off after their request, or before the last byte of the answer; they ask again."""
    proxies = []

    @contextmanager
    def between(server: web_server.Web) -> Iterator[int]:
        with Proxy(DroppedAnswer, server.port, None, SHARE, experiment.random) as proxy:
            proxies.append(proxy)
            yield proxy.port

    def strike(load: RunningLoad) -> int:
        time.sleep(experiment.seconds)
        return proxies[0].cuts

    return under_load(experiment, strike, port=between)
