"""The catalogue of faults: what each does, and its share of a long run."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dev.chaos import (
    expiry_faults,
    mutants,
    network_faults,
    payment_faults,
    payment_races,
    postgres_faults,
    programme_faults,
    programme_mutants,
    redis_faults,
    rule_attacks,
    scheduler_faults,
    session_faults,
    sign_in_load,
    slow_peers,
    soak,
    stalled_readers,
    worker_faults,
)
from dev.chaos.experiment import Experiment, Outcome

LONG_RUN_SECONDS = 600


@dataclass(frozen=True)
class Fault:
    """One fault: its description, its function, and its duration.

    `quick` is the seconds of a quick run, `share` the part of a long run. `target` is how often it must be injected in a run of
    ten minutes, proportionally more or less often in longer and shorter runs; never less than `always`.
    """

    what: str
    run: Callable[[Experiment], Outcome]
    quick: float = 0.0
    share: float = 0.0
    target: int = 0
    always: int = 1

    def seconds(self, total: float) -> float:
        """Return its duration in a run of `total` seconds."""
        return max(self.quick, self.share * total)

    def least(self, seconds: float) -> int:
        """Return how often it must be injected within these seconds."""
        whole = self.share * LONG_RUN_SECONDS
        if not self.target or not whole:
            return self.always
        # In a short run the start takes most of the time: half the pace is enough.
        pace = 1.0 if seconds >= whole else 0.5
        return max(self.always, round(pace * self.target * seconds / whole))


def race(what: str, contest: Callable[[payment_races.Races], int]) -> Fault:
    """Return a race of payments, which is repeated until its time is over."""
    return Fault(what, partial(payment_races.repeat, race=contest), 0, 0.01)


FAULTS = {
    "T0": Fault("ten wrong implementations, each of which must be detected", mutants.catch_mutants),
    "T3": Fault("a database session of the web terminated every 50 ms", session_faults.kill_backends, 2, 0.10, target=1000),
    "T4": Fault("a web worker killed every 0.5 s", worker_faults.kill_workers, 2, 0.18, target=200),
    "T5": Fault("one reply to COMMIT in ten lost before it reaches the web", network_faults.lose_commits, 2, 0.20, target=1000),
    "T6": Fault(
        "one client in ten cut off before its answer, or before the answer's last byte",
        network_faults.lose_answers,
        2,
        0.03,
        target=200,
    ),
    "T7": Fault("the process that holds a row lock stopped (SIGSTOP)", session_faults.stop_holder),
    "T9": Fault("PostgreSQL stopped at once and started again", postgres_faults.stop_at_once, 2, 0.10, target=20),
    "T10": Fault("the primary lost, its synchronous standby promoted", postgres_faults.fail_over, 0, 0.06, target=5),
    "T13": Fault("a row lock held for 10 s", session_faults.slow_holder),
    "T14": Fault("five times more clients than sessions, then no session at all", session_faults.exhaust_sessions, 1, 0.02),
    "T15": Fault("a disk full, then freed", postgres_faults.fill_disk, 1, 0.02),
    "T16": Fault("Redis killed, stopped, emptied, restarted, full", redis_faults.lose_redis, 3, 0.06, always=5),
    "T20": Fault("credits that expire while they are claimed and rolled back", expiry_faults.expire_under_claims, 2.5, 0.02),
    "T21": Fault("a task that two clusters run twice; a cluster that was down for five minutes", scheduler_faults.run_twice),
    "T23": Fault("all web workers replaced gracefully, again and again", worker_faults.restart_workers, 2, 0.06, target=20),
    "T24": Fault(
        "sessions, workers, PostgreSQL, Redis and replies to COMMIT lost, rows locked, no sessions: in random order",
        soak.soak,
        8,
        0.10,
        target=20,
    ),
    "T28": Fault(
        "the application's role tries to switch the rules off, forge and stop sealing, again and again",
        rule_attacks.try_to_switch_off,
        2,
        0.02,
        target=400,
    ),
    "T26": Fault("many sign-ins at once, with right and wrong passwords", sign_in_load.hash_under_claims, 4, 0.06, always=2),
    "T25": Fault(
        "500 slow peers: half heads and bodies, a byte a second, answers never read, silence",
        slow_peers.slow_peers,
        3,
        0.05,
        always=slow_peers.PEERS,
    ),
    "T27": Fault("readers who search without a pause, and downloads that nobody reads", stalled_readers.stall_readers, 5, 0.05),
    "T30": race("50 clients spend one wallet of 20 credits to zero", payment_races.empty_wallet),
    "T31": race("release against capture of the same payment", payment_races.release_against_capture),
    "T32": race("holds that end while they are captured, with two sweepers", payment_races.end_while_captured),
    "T33": Fault(
        "one reply to COMMIT in ten lost while clients pay, with the same key or the same order",
        payment_faults.lose_payment_commits,
        2,
        0.04,
        target=200,
    ),
    "T34": race("refunds by 20 clients, together more than was captured", payment_races.refund_at_once),
    "T35": race("clawback against spending of the same credits", payment_races.clawback_against_spending),
    "T36": Fault(
        "claims, payments, lapses and seals while sessions are terminated and primaries lost",
        payment_faults.everything_at_once,
        0,
        0.06,
        target=5,
    ),
    "T37": race("one wallet and 32 connections", payment_races.hot_wallet),
    "T50": Fault(
        "two schedulers that grant, notice and send webhooks, one of them killed at any moment, again and again",
        programme_faults.kill_schedulers,
        3,
        0.05,
        target=30,
    ),
    "T51": Fault(
        "a scheduler killed before or after each statement with which it grants, notices and sends webhooks",
        programme_faults.kill_at_each_step,
        0,
        0.08,
        always=30,
    ),
    "T52": Fault(
        "rules whose pools are sold out and filled again, again and again", programme_faults.sell_out, 3, 0.03, target=10
    ),
    "T53": Fault(
        "schedulers whose clocks are wrong by hours and days, ahead and behind", programme_faults.move_clocks, 3, 0.03, always=3
    ),
    "T54": Fault(
        "five wrong schedulers, each of which must be detected", programme_mutants.catch_wrong_schedulers, 2, always=5
    ),
}
