"""`python -m dev.cluster FOLDER SEED NAMES`: started by dev.cluster.launch in a network namespace of its own."""

import io
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from dev.cluster import network
from dev.cluster.cluster import Cluster
from dev.cluster.hosts import Site
from dev.cluster.needs import find_programs
from dev.services import binaries
from dev.services.paths import InstancePaths

folder, seed, names = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(",")


def send(**message: object) -> None:
    """Send a message to the process that started this one."""
    print(json.dumps(message), flush=True)  # noqa: T201


def interrupt(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that all hosts are removed."""
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, interrupt)
site = Site(folder, find_programs(), binaries.postgres_home(InstancePaths(folder, "prove", folder / "servers")))
cluster = Cluster(site)
network.create_network()
try:
    send(now="databases")
    cluster.start_databases()
    cluster.create_database()
    os.environ |= site.keys | {"DATABASE_URL": site.owner_url()}

    import django

    django.setup()

    from django.core.management import call_command

    from dev.cluster.run import run_cluster
    from dev.race.runner import make_tables

    send(now="tables")
    make_tables()
    call_command("grant_app_role", stdout=io.StringIO())
    cluster.set_app_password()
    send(now="webs")
    cluster.start_webs()
    faults = [name for name in names if name != "control"]
    result = run_cluster(cluster, faults, seed, folder / "seals.jsonl", lambda name: send(now=name), control="control" in names)
    send(result=result)
finally:
    network.remove_network()
