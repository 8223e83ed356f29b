"""`python -m dev.bench FOLDER '{"names": …, "rounds": …, "quick": …, "before": …}'`: started by dev.bench.run."""

import json
import os
import signal
import sys
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType

from dev.bench.django_setup import set_up_django
from dev.chaos.test_servers import TEMPLATE, servers_in

folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
servers = servers_in(folder)
os.environ["DATABASE_URL"] = servers.database_url(TEMPLATE)
os.environ["REDIS_URL"] = servers.redis_url()
set_up_django()

from dev.bench.catalogue import BENCHES  # noqa: E402
from dev.bench.environment import BenchEnvironment  # noqa: E402  (models can be imported only now)
from dev.bench.results import Figure  # noqa: E402
from dev.chaos.experiment import create_template  # noqa: E402


def send(**message: object) -> None:
    """Send a message to the process that started this one."""
    print(json.dumps(message), flush=True)  # noqa: T201


def interrupt(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that all children are stopped."""
    raise KeyboardInterrupt


def with_remarks(figures: list[Figure], remarks: list[str]) -> list[Figure]:
    """Return the figures with the remarks in the first one's note."""
    if not remarks:
        return figures
    note = "; ".join(filter(None, [figures[0].note, *remarks]))
    return [replace(figures[0], note=note), *figures[1:]]


signal.signal(signal.SIGTERM, interrupt)
servers.start()
create_template()
environment = BenchEnvironment(
    servers, options["rounds"], options["quick"], lambda text: send(now=text), before=options["before"]
)
for name in options["names"]:
    send(begins=name)
    environment.remarks.clear()
    try:
        figures = with_remarks(BENCHES[name].run(environment), environment.remarks)
        send(bench=name, figures=[asdict(figure) for figure in figures])
    except Exception as error:  # noqa: BLE001  (a failed measurement is reported, and the others run all the same)
        traceback.print_exc()
        send(bench=name, figures=[], error="; ".join([f"{type(error).__name__}: {error}", *environment.remarks]))
    environment.drop_databases()
