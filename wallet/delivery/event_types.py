"""The types of events: what the feed lists and webhooks send, once as data."""

from enum import IntEnum

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _


class Source(IntEnum):
    """The tables that events are read from. In a transaction, events come in this order."""

    ISSUE = 1
    CHANGE = 2
    CLAIM = 3
    MOVEMENT = 4
    NOTICE = 5


# The event types of each source, by the kind that its SQL gives (event_sql.SOURCES).
TYPES = {
    Source.ISSUE: {"ISSUED": "credit.issued", "RECREATED": "credit.recreated"},
    Source.CHANGE: {"EDITED": "credit.edited", "EXPIRED": "credit.expired", "DELETED": "credit.deleted"},
    Source.CLAIM: {"CLAIM": "credit.claimed"},
    Source.MOVEMENT: {
        "HOLD": "payment.held",
        "CAPTURE": "payment.captured",
        "RELEASE": "payment.released",
        "SPEND": "payment.spent",
        "REFUND": "payment.refunded",
        "LAPSE": "credit.lapsed",
        "CLAWBACK": "credit.clawed_back",
        "EXTEND": "credit.extended",
    },
    Source.NOTICE: {"ending_soon": "credit.ends_soon"},
}
EVENT_TYPES = tuple(name for kinds in TYPES.values() for name in kinds.values())
TEST_EVENT = "webhook.test"  # sent by an operator's hand, never part of the feed


def checked_types(names: list[str]) -> list[str]:
    """Return event types in their usual order, each once; raise ValidationError for unknown ones. None: all types."""
    if unknown := sorted(set(names) - set(EVENT_TYPES)):
        message = _("Unknown event type: %(names)s. Use one of: %(types)s.")
        message %= {"names": ", ".join(unknown), "types": ", ".join(EVENT_TYPES)}
        raise ValidationError(message, code="invalid_choice")
    return [name for name in EVENT_TYPES if name in names]
