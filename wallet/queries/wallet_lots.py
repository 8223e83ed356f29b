"""What is left of each credit of a wallet."""

from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from accounts.models import User
from wallet.ledger.models import Lot

ENDED = Q(spendable_until__lte=Now())


def lots_of(user: User, *, is_open: bool = True) -> QuerySet[Lot]:
    """Return the user's credits with something available (`is_open`), or all others, with their `state_now` by the clock.

    Credits of which nothing is available are found through the claims: the indexes of lots hold open ones only.
    """
    lots = Lot.objects.filter(user=user, is_open=True) if is_open else Lot.objects.filter(entry__user=user, is_open=False)
    state = Case(
        When(is_open=False, then=Value("used")),
        When(ENDED, then=Value("ended")),
        When(spendable_from__gt=Now(), then=Value("pending")),
        default=Value("spendable"),
        output_field=CharField(),
    )
    return lots.annotate(id=F("entry_id"), state_now=state).select_related("entry__asset")
