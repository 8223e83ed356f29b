"""Open, change and pause rules that grant."""

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts import audit
from accounts.models import User
from kernel.constraint_words import violations_in_words
from kernel.refusals import NotFound
from kernel.versions import Precondition, accept_any
from wallet.money import check_amount
from wallet.programme.constraint_words import WORDS
from wallet.programme.models import GrantDue, GrantRule

CHANGEABLE = ("name", "per_person_cap", "is_active")


class RuleNotFound(NotFound):
    code = "not_found"
    meaning = gettext_noop("The rule does not exist.")
    detail = gettext_noop("Rule not found. See the list of rules.")


def open_rule(actor: User, **fields: Any) -> GrantRule:
    """Open a rule, which counts events from now on, and return it. Raises ValidationError."""
    rule = GrantRule(created_by=actor, **fields)
    with violations_in_words(WORDS), transaction.atomic():
        check_rule(rule)
        rule.save(force_insert=True)
    audit.record_event("rule_change", "done", actor, rule=str(rule.pk), change="open")
    return rule


def check_rule(rule: GrantRule) -> None:
    """Raise ValidationError for what a rule may not ask or grant."""
    rule.full_clean(exclude=["created_by"], validate_constraints=False)
    if rule.pool.archived_at is not None:
        raise ValidationError({"pool": _("This pool is archived. Choose another one.")})
    if rule.minimum_amount is not None and rule.currency:
        try:
            check_amount(rule.minimum_amount, rule.currency)
        except ValidationError as error:
            raise ValidationError({"minimum_amount": error}) from error


def update_rule(rule_id: UUID, actor: User, precondition: Precondition = accept_any, **changes: Any) -> GrantRule:
    """Change a rule's name, its cap, or whether it is active; return it.

    A new cap makes the dues that the former one refused ready for another try. Raises RuleNotFound, ValidationError,
    ChangedMeanwhile.
    """
    if fixed := set(changes) - set(CHANGEABLE):
        message = _("A rule's pool, event and conditions can't be changed. Pause it and create another one.")
        raise ValidationError(dict.fromkeys(sorted(fixed), message))
    with violations_in_words(WORDS), transaction.atomic():
        rule = GrantRule.objects.select_for_update(no_key=True).filter(pk=rule_id).first()
        if rule is None:
            raise RuleNotFound
        precondition(rule)
        for name, value in changes.items():
            setattr(rule, name, value)
        rule.clean_fields()
        rule.save(update_fields=list(changes))
        if "per_person_cap" in changes:
            try_again(Q(rule=rule, refusal="rule_cap_reached"))
    audit.record_event("rule_change", "done", actor, rule=str(rule.pk), change=" ".join(sorted(changes)))
    return rule


def try_again(dues: Q) -> int:
    """Make refused dues that fulfil a condition ready for another try now; return how many."""
    return GrantDue.objects.filter(dues, ~Q(refusal=""), entry=None, next_try_at__isnull=False).update(next_try_at=Now())
