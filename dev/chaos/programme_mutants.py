"""Wrong schedulers in the experiments of the programme. The checks must detect each, or their silence proves nothing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from dev.chaos.experiment import Experiment, Outcome
from dev.chaos.programme_checks import due_violations, email_violations, notice_violations, time_violations
from dev.chaos.programme_faults import prepare_times
from dev.chaos.programme_load import Programme
from dev.chaos.programme_run import QUIET_SECONDS, RunningProgramme, look_at_mornings_again, run_programme
from dev.chaos.schedulers import Scheduler
from wallet.verification.checker import Violation

SECONDS = 20.0  # within which a wrong scheduler must be detected
LOOK_SECONDS = 0.3
AHEAD = timedelta(days=8)


@dataclass(frozen=True)
class Control:
    """How a wrong implementation is run, and the violation that must be found.

    Arguments:
        invariant, words: of the violation.
        check: finds it while the schedulers run; None: it shows when all is done.
        clock_ahead: how far the clocks of the schedulers are ahead.
    """

    invariant: str
    words: str
    check: Callable[[RunningProgramme], list[Violation]] | None
    clock_ahead: timedelta = timedelta(0)

    def is_in(self, violations: list[Violation]) -> bool:
        """Return whether the violation is among these."""
        return any(found.invariant == self.invariant and self.words in found.sentence for found in violations)


CONTROLS = {
    "granted without a lock": Control("doubled", "was granted", lambda run: due_violations(run.programme.expected)),
    "noticed without a key": Control("doubled", "noticed", lambda _: notice_violations()),
    "marked after sending": Control("doubled", "email", lambda run: email_violations(run.mail, run.kills)),
    "position saved before sending": Control("lost", "webhook", None),
    "own clock asked": Control("early", "", lambda _: time_violations(), AHEAD),
}


def catch_wrong_schedulers(experiment: Experiment) -> Outcome:
    """T54: two schedulers run each wrong implementation, without any other fault, and the checks must detect it."""
    found, caught = list[Violation](), list[str]()
    for name, control in CONTROLS.items():
        violations = run_wrong(experiment, name, control).violations
        if control.is_in(violations):
            caught.append(name)
        else:
            seen = ", ".join(sorted({violation.invariant for violation in violations}))
            found.append(Violation("T54", f"not caught: {name} (seen: {seen or 'nothing'})"))
    return Outcome(len(caught), len(CONTROLS), 0, 0, 0, found, f"caught: {', '.join(caught)}")


def run_wrong(experiment: Experiment, name: str, control: Control) -> Outcome:
    """Run two schedulers with a wrong implementation until it is detected, or the time is over."""
    limited = replace(experiment, seconds=SECONDS if control.check else experiment.seconds, least=0)
    return run_programme(
        limited,
        partial(run_until_detected, control),
        prepare=prepare_times if control.clock_ahead else do_nothing,
        schedulers=0,
        wrong=name,
        quiet=0 if control.check else QUIET_SECONDS,
    )


def do_nothing(_: Programme) -> None:
    """Prepare nothing."""


def run_until_detected(control: Control, running: RunningProgramme) -> int:
    """Start two schedulers and let them run until the violation is there; return 1."""
    for _ in range(2):
        running.schedulers.append(Scheduler(running.plan))
        running.schedulers[-1].start(clock_ahead=control.clock_ahead)
    for _ in running.moments(LOOK_SECONDS, LOOK_SECONDS):
        look_at_mornings_again()
        if control.check and control.is_in(control.check(running)):
            break
    return 1
