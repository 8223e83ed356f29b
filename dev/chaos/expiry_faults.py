"""Faults of expiry: credits that expire while they are claimed."""

import contextlib
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from dev.chaos.experiment import EXPECTED, Experiment, Outcome, fresh_database, judge_run
from dev.race.claim_client import ClaimClient
from dev.race.fixture import VALUE, Participant, RaceFixture
from dev.race.transport import ClaimResponse, DirectTransport, to_response, user_of
from kernel.refusals import Refusal
from wallet.actions import edit_pool, expire_assets, issue_assets
from wallet.actions.claim import claim_asset
from wallet.actions.claim_batch import process_asset_claims
from wallet.actions.claim_decisions import ClaimRequest
from wallet.actions.claim_sql import WAIT
from wallet.assets.models import AssetStatus, CashbackAsset, PoolKind
from wallet.verification.checker import Violation, fetch_rows

ROLLED_BACK = 0.6
EARLY = 0.15  # share of the claims for a credit well before its expiry
# Credits, seconds within which they expire, clients, and seconds before its expiry at which one is claimed: most are too late.
SHORT, LONG = (300, 2.5, 8, 0.015), (3000, 8.0, 32, 0.1)
LONG_RUN_SECONDS = 10
LEAD_SECONDS = 3.0  # before the first credit expires: a busy machine takes a while to issue them all
EXPIRED_TWICE = """
    SELECT format('asset %s was expired %s times', pgh_obj_id, count(*)) FROM assets_cashbackassetevent
    WHERE status = 'EXPIRED' AND pgh_label = 'update' GROUP BY pgh_obj_id HAVING count(*) > 1
"""


class RolledBack(Exception):
    """Rolls a claim back after all writes."""


class RollingBackTransport(DirectTransport):
    """Rolls back most of its claims."""

    def __init__(self, generator: random.Random) -> None:
        super().__init__()
        self.random = generator

    def asset(self, participant: Participant, asset: str) -> ClaimResponse:
        """Claim a credit and commit, or roll back after all writes."""
        if self.random.random() >= ROLLED_BACK:
            return to_response(lambda: claim_asset(UUID(asset), user_of(participant)))
        try:
            with transaction.atomic():
                with contextlib.suppress(Refusal):
                    process_asset_claims([ClaimRequest(UUID(asset), user_of(participant))], WAIT)
                raise RolledBack
        except RolledBack:
            return ClaimResponse("refused", None, "busy")


def issue_expiring_credits(experiment: Experiment, count: int, seconds: float) -> RaceFixture:
    """Issue credits that expire one after the other within the next `seconds`."""
    users = User.objects.bulk_create(User(email=f"participant{n}@example.com") for n in range(20))
    pool = edit_pool.open_pool(None, name="Ending", kind=PoolKind.PROMOTION, currency="INR")
    first = timezone.now() + timedelta(seconds=LEAD_SECONDS)
    steps = [first + timedelta(seconds=seconds * number / count) for number in range(count)]
    assets = [issue_assets.build_asset(None, title="Ends", total_value=VALUE, pool=pool, expires_at=step) for step in steps]
    issue_assets.issue_assets(assets)
    credits_ = [str(asset.pk) for asset in assets]
    participants = [Participant(str(user.pk), "") for user in users]
    return RaceFixture(participants, credits_, str(pool.pk), {(pool.pk, "INR"): (count, count * VALUE)})


def expire_under_claims(experiment: Experiment) -> Outcome:
    """T20: credits expire while they are claimed, most claims are rolled back, and two sweepers run."""
    fresh_database(experiment)
    count, seconds, claimers, moment = LONG if experiment.seconds >= LONG_RUN_SECONDS else SHORT
    fixture = issue_expiring_credits(experiment, count, seconds)
    generators = [random.Random(f"{experiment.seed}/{number}") for number in range(claimers)]  # noqa: S311  (repeatable)
    clients = [
        ClaimClient(RollingBackTransport(generator), number, experiment.seed) for number, generator in enumerate(generators)
    ]
    over = threading.Event()
    with ThreadPoolExecutor(claimers + 2) as threads:
        work = [threads.submit(claim_expiring_credits, client, fixture, timedelta(seconds=moment), over) for client in clients]
        work += [threads.submit(sweep_continuously, over) for _ in range(2)]
        time.sleep(seconds + LEAD_SECONDS + 0.5)
        over.set()
    for future in work:
        future.result()
    expire_assets.expire_due()
    found = [Violation("I6", row[0]) for row in fetch_rows(connection, EXPIRED_TWICE)]
    ended = Counter(CashbackAsset.objects.values_list("status", flat=True))
    if ended[AssetStatus.AVAILABLE]:
        found.append(Violation("I6", f"{ended[AssetStatus.AVAILABLE]} due credits were never swept"))
    if not ended[AssetStatus.CLAIMED]:
        found.append(Violation("count", "no claim was in time: nothing was shown"))
    note = f"{ended[AssetStatus.CLAIMED]:,} claimed, {ended[AssetStatus.EXPIRED]:,} expired"
    log = sorted((attempt for client in clients for attempt in client.log), key=lambda attempt: attempt.started)
    return judge_run(
        log, fixture, ended[AssetStatus.EXPIRED], 1, note=note, more=found, answered=False, refused={*EXPECTED, "asset_expired"}
    )


def claim_expiring_credits(client: ClaimClient, fixture: RaceFixture, moment: timedelta, over: threading.Event) -> None:
    """Claim credits that expire next until the time is over; sometimes one that expires later, which is in time."""
    generator = client.random
    with contextlib.closing(client.transport):
        while not over.is_set():
            early = generator.random() < EARLY
            last_moment = timezone.now() + moment * (10 if early else 1)
            soon = CashbackAsset.objects.filter(status=AssetStatus.AVAILABLE, expires_at__lte=last_moment)
            if wanted := list(soon.order_by("-expires_at" if early else "expires_at").values_list("pk", flat=True)[:20]):
                client.ask("asset", str(generator.choice(wanted)), generator.choice(fixture.participants), None)
            else:
                time.sleep(0.005)


def sweep_continuously(over: threading.Event) -> None:
    """Sweep continuously."""
    while not over.is_set():
        try:
            expire_assets.expire_due(batch_size=7)
        except Refusal:
            time.sleep(0.01)
    connection.close()
