"""`python -m dev.bench FOLDER '{"names": …, "rounds": …, "quick": …}'`: started by dev.bench.run."""

import json
import os
import signal
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import django

from dev.chaos.test_servers import TEMPLATE, servers_in

folder, wanted = Path(sys.argv[1]), json.loads(sys.argv[2])
servers = servers_in(folder)
os.environ["DATABASE_URL"] = servers.database_url(TEMPLATE)
os.environ["REDIS_URL"] = servers.redis_url()
django.setup()

from dev.bench.catalogue import BENCHES  # noqa: E402
from dev.bench.environment import BenchEnvironment  # noqa: E402  (models can be imported only now)
from dev.chaos.experiment import create_template  # noqa: E402


def say(**what: object) -> None:
    """Tell whoever started this."""
    print(json.dumps(what), flush=True)  # noqa: T201


def end(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that what was started is stopped."""
    raise KeyboardInterrupt


def tell(what: str) -> None:
    """Say how far it is."""
    say(now=what)


signal.signal(signal.SIGTERM, end)
servers.start()
create_template()
environment = BenchEnvironment(servers, wanted["rounds"], wanted["quick"], tell)
for name in wanted["names"]:
    say(begins=name)
    try:
        say(bench=name, figures=[asdict(figure) for figure in BENCHES[name].run(environment)])
    except Exception as error:  # noqa: BLE001  (one that breaks is told as broken; the others are run all the same)
        traceback.print_exc()
        say(bench=name, figures=[], broke=f"{type(error).__name__}: {error}")
    environment.clear()
