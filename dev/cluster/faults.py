"""The faults of the cluster. Each is a generator: it injects at once, yields while clients go on, and then repairs."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import psycopg

from dev.cluster import network
from dev.cluster.cluster import Cluster, ask_patroni, is_ready
from dev.cluster.needs import NoCluster

Injection = Generator[None, None, None]
SWITCHOVER_SECONDS = 30.0


@dataclass(frozen=True)
class ClusterFault:
    """One fault.

    Arguments:
        what: a phrase for the report.
        inject: makes the fault, yields, and repairs it.
        bound: within how many seconds requests must succeed again.
        seconds: how long clients go on before the repair; claims must have succeeded again by then.
        quick: whether it is part of a run of three minutes.
    """

    what: str
    inject: Callable[[Cluster], Injection]
    bound: float
    seconds: float
    quick: bool = True


def switch_over(cluster: Cluster) -> Injection:
    """T40: the primary and the synchronous standby change places."""
    leader = cluster.leader()
    asked = {"leader": leader, "candidate": cluster.standby(synchronous=True)}
    with contextlib.suppress(NoCluster):
        ask_patroni(leader, "POST", "/switchover", asked, SWITCHOVER_SECONDS)
    yield


def kill_postgres(cluster: Cluster) -> Injection:
    """T41: the postmaster of the primary is killed (SIGKILL)."""
    pid_file = cluster.site.host_folder(cluster.leader()) / "data/postmaster.pid"
    os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    yield


def kill_machine(cluster: Cluster) -> Injection:
    """T47: every process of the primary's machine is killed: PostgreSQL, Patroni and etcd."""
    leader = cluster.leader()
    network.kill_host(leader)
    yield
    cluster.site.start_etcd(leader)
    cluster.site.start_patroni(leader)


def cut_leader_off(cluster: Cluster) -> Injection:
    """T42: the primary reaches neither databases nor witnesses, but the web still reaches it."""
    leader = cluster.leader()
    others = tuple(host for host in network.DATABASES if host != leader)
    network.separate(leader, others)
    yield
    network.join_again(leader, others)


def pull_cable(cluster: Cluster) -> Injection:
    """T48: the primary's cable is pulled; its connections stay open on the other side."""
    leader = cluster.leader()
    network.cut_off(leader)
    yield
    network.connect_again(leader)


def lose_witnesses(cluster: Cluster) -> Injection:
    """T43: two of three etcd are killed."""
    lost = network.DATABASES[1:]
    for host in lost:
        kill_programs(host, "etcd")
    yield
    for host in lost:
        cluster.site.start_etcd(host)


def delay_replica(cluster: Cluster) -> Injection:
    """T44: a standby shows a state of the past: it does not replay what it receives."""
    host = cluster.standby(synchronous=False)
    with cluster.superuser(host) as session:
        session.execute("SELECT pg_wal_replay_pause()")
    yield
    with contextlib.suppress(psycopg.Error), cluster.superuser(host) as session:
        session.execute("SELECT pg_wal_replay_resume()")


def restart_pgbouncer(cluster: Cluster) -> Injection:
    """T45: PgBouncer is killed and started again, on one web host after the other."""
    for host in network.WEBS:
        kill_programs(host, "pgbouncer")
        time.sleep(0.5)
        cluster.site.start_pgbouncer(host)
        deadline = time.monotonic() + SWITCHOVER_SECONDS
        while not is_ready(host) and time.monotonic() < deadline:
            time.sleep(0.1)
    yield


def lose_web_host(cluster: Cluster) -> Injection:
    """T46: every process of a web host is killed."""
    network.kill_host(network.WEBS[0])
    yield
    cluster.site.start_web(network.WEBS[0])


def kill_programs(host: str, name: str) -> None:
    """Kill the processes of this name at a host."""
    for pid in network.host_pids(host):
        with contextlib.suppress(OSError):
            if network.program_name(pid) == name:
                os.kill(pid, signal.SIGKILL)


FAULTS = {
    "T40": ClusterFault("planned switchover", switch_over, 5, 8),
    "T41": ClusterFault("PostgreSQL of the primary killed", kill_postgres, 5, 10),
    "T42": ClusterFault("primary cut off from databases and witnesses; the web still reaches it", cut_leader_off, 30, 40),
    "T43": ClusterFault("two of three etcd killed", lose_witnesses, 1, 15),
    "T44": ClusterFault("a standby lags", delay_replica, 1, 60, quick=False),
    "T45": ClusterFault("PgBouncer killed and started again, on each web host", restart_pgbouncer, 5, 5),
    "T46": ClusterFault("a web host killed", lose_web_host, 2, 12, quick=False),
    "T47": ClusterFault("the primary's machine killed", kill_machine, 30, 40, quick=False),
    "T48": ClusterFault("the primary's cable pulled", pull_cable, 30, 40, quick=False),
}
