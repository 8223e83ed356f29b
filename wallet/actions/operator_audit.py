"""Lines of the audit log for what operators do to other people's money, whichever interface they use."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from accounts import audit
from accounts.models import User

Action = TypeVar("Action", bound=Callable[..., Any])


def audited(event: audit.Event) -> Callable[[Action], Action]:
    """Return a decorator of an action of money that logs what an operator asked for, and whether it was done.

    The subject is the action's first argument: a payment, a claim, or a user.
    """

    def decorate(action: Action) -> Action:
        @wraps(action)
        def audited_action(subject: Any, *args: Any, actor: User | None = None, **options: Any) -> Any:
            if actor is None or not actor.is_admin:
                return action(subject, *args, actor=actor, **options)
            details = {"subject": str(getattr(subject, "pk", subject))}
            details |= {name: str(options[name]) for name in ("amount", "reason") if options.get(name)}
            with audit.recording_refusal(event, actor, **details):
                answer = action(subject, *args, actor=actor, **options)
            audit.record_event(event, "done", actor, **details)
            return answer

        return cast("Action", audited_action)

    return decorate
