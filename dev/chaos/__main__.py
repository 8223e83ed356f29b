"""`python -m dev.chaos FOLDER SEED {"T3": seconds, …}`: started by dev.chaos.run."""

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType

import django

from dev.chaos.test_servers import TEMPLATE, servers_in

folder, seed, wanted = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
servers = servers_in(folder)
os.environ["DATABASE_URL"] = servers.database_url(TEMPLATE)
os.environ["REDIS_URL"] = servers.redis_url()
django.setup()

from dev.chaos.catalogue import FAULTS  # noqa: E402
from dev.chaos.experiment import Experiment, create_template  # noqa: E402
from wallet.verification import claim_log  # noqa: E402  (models can be imported only now)


def send(**message: object) -> None:
    """Send a message to the process that started this one."""
    print(json.dumps(message), flush=True)  # noqa: T201


def interrupt(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that all children are stopped."""
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, interrupt)
servers.start()
create_template()
for name, seconds in wanted.items():
    send(now=name)
    fault = FAULTS[name]
    outcome = fault.run(Experiment(servers, seconds, seed, name, fault.least(seconds)))
    claim_log.write_log(folder / f"{name}.jsonl", outcome.log)
    fields = asdict(outcome)
    del fields["log"]
    send(fault=name, outcome=fields)
