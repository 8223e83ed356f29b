"""A run: the cluster is built, loaded, broken and judged; then the asynchronous control, which must lose claims."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from django.db import connection

from dev.cluster import faults
from dev.cluster.clients import ClusterLoad, ClusterPayments
from dev.cluster.cluster import Cluster, wait_until
from dev.cluster.faults import ClusterFault
from dev.cluster.judge import Logs, Window, judge_cluster, measure_faults
from dev.cluster.measure import Measured
from dev.cluster.own_reads import OwnReads
from dev.payment_race.fixture import PaymentFixture
from dev.payment_race.fixture import create_fixture as create_wallets
from dev.payment_race.plan import PaymentPlan
from dev.race.fixture import RaceFixture, create_fixture
from dev.race.plan import Plan
from wallet.verification.checker import Violation, snapshot_connection, verify_everything
from wallet.verification.published_seals import describe_lost_seals

USERS, CREDITS = 20, 30
CLAIMS_PER_SECOND = 110  # more than the clients can claim
WALLETS, LOTS = 3, 120
REPAIR_SECONDS = 30.0  # of each fault, as a rule
CALM_SECONDS = 3.0  # before a fault, and after the cluster is whole again
CONTROL = ClusterFault("control, asynchronous: primary cut off as in T42", faults.cut_leader_off, 35, 40)
STANDBY_NAMES = "SELECT current_setting('synchronous_standby_names')"


@dataclass(frozen=True)
class RunResult:
    """The result of a run, in JSON types by `asdict`.

    Arguments:
        violations: of the checker, of the synchronous cluster.
        control: the figures of the asynchronous cluster; None if it was not run.
        reads, stale: how often an operator searched for what they had just written, and did not find it.
        unseen: the violations that the checker finds after the control without the clients' logs.
        lost_seals: what the exported seals tell about the control.
    """

    rows: list[Measured]
    violations: list[Violation]
    reads: int = 0
    stale: int = 0
    control: Measured | None = None
    unseen: int = 0
    lost_seals: str = ""


@dataclass(frozen=True)
class People:
    """Who claims and who pays."""

    claims: RaceFixture
    payments: PaymentFixture


def create_people(seconds: float, seed: int) -> People:
    """Make the users, credits and wallets of a run of so many seconds."""
    pool = int(CLAIMS_PER_SECOND * (seconds + REPAIR_SECONDS))
    plan = Plan(USERS, CREDITS, pool, None, 0, 0, USERS, seed, http=True)
    wallets = PaymentPlan(wallets=WALLETS, lots=LOTS, connections=1, orders=0, seed=seed, http=True)
    return People(create_fixture(plan), create_wallets(wallets))


def break_cluster(
    cluster: Cluster, people: People, names: Sequence[str], *, seed: int, roots: Path, on_start: Callable[[str], None]
) -> tuple[Logs, list[Window], OwnReads]:
    """Have clients claim, pay and read while each fault is injected and repaired.

    Returns the clients' logs, the times of the faults, and what was read.
    """
    windows, reads = [], OwnReads(seed)
    with ClusterLoad(people.claims, seed, roots) as claiming, ClusterPayments(people.payments, seed) as paying, reads:
        for name in names:
            on_start(name)
            windows.append(inject_fault(cluster, name, faults.FAULTS[name]))
    return Logs(claiming.log, paying.log), windows, reads


def inject_fault(cluster: Cluster, name: str, fault: ClusterFault) -> Window:
    """Inject one fault, wait, repair it, and wait until the cluster is whole again."""
    time.sleep(CALM_SECONDS)
    begun = time.time()
    injection = fault.inject(cluster)
    next(injection)
    time.sleep(max(0.0, begun + fault.seconds - time.time()))
    next(injection, None)
    cluster.wait_until_whole()
    time.sleep(CALM_SECONDS)
    return Window(name, fault.what, fault.bound, begun, time.time())


def run_control(cluster: Cluster, people: People, seed: int, roots: Path) -> tuple[Measured, int, str]:
    """Switch synchronous replication off, cut the primary off, and return what was lost and what shows it."""
    cluster.configure(synchronous_mode=False)
    object.__setattr__(cluster.site, "synchronous", False)
    wait_until(lambda: not standby_names(cluster), 60, "replication stays synchronous")
    with ClusterLoad(people.claims, seed + 1, roots) as claiming:
        window = inject_fault(cluster, "control", CONTROL)
    connection.close()
    (measured,) = measure_faults(Logs(claiming.log, []), [window])
    with snapshot_connection() as reader:
        unseen = len(verify_everything(reader))
    return measured, unseen, describe_lost_seals(roots)


def standby_names(cluster: Cluster) -> str:
    """Return the primary's synchronous_standby_names."""
    with cluster.superuser(cluster.leader()) as session:
        (names,) = session.execute(STANDBY_NAMES).fetchone() or ("",)
        return str(names)


def run_cluster(
    cluster: Cluster, names: Sequence[str], seed: int, roots: Path, on_start: Callable[[str], None], *, control: bool = True
) -> dict[str, Any]:
    """Break the running cluster, judge it, and return the result in JSON types."""
    on_start("people")
    people = create_people(sum(faults.FAULTS[name].seconds + REPAIR_SECONDS for name in names) + CONTROL.seconds, seed)
    logs, windows, reads = break_cluster(cluster, people, names, seed=seed, roots=roots, on_start=on_start)
    on_start("verifying")
    violations = judge_cluster(logs, people.claims)
    rows = measure_faults(logs, windows)
    result = RunResult(rows, violations, reads.pairs, reads.stale)
    if not control:
        return asdict(result)
    on_start("control")
    measured, unseen, lost_seals = run_control(cluster, people, seed, roots)
    return asdict(replace(result, control=measured, unseen=unseen, lost_seals=lost_seals))
