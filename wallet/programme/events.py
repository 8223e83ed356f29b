"""The events for which a rule grants a credit, and the bounds of what a rule asks."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class GrantEvent(models.TextChoices):
    """What must happen so that a rule grants a credit."""

    REGISTERED = "REGISTERED", _("A person registers")
    EMAIL_VERIFIED = "EMAIL_VERIFIED", _("A person verifies their email")
    FIRST_PAYMENT = "FIRST_PAYMENT", _("A person's first payment is captured")
    FRIEND_FIRST_PAYMENT = "FRIEND_FIRST_PAYMENT", _("An invited friend's first payment is captured")
    REPORTED = "REPORTED", _("A service reports an event")


PAID = (GrantEvent.FIRST_PAYMENT.value, GrantEvent.FRIEND_FIRST_PAYMENT.value)  # their rules may ask for a minimum amount
EVENT_NAME = r"^[a-z][a-z0-9_.]{0,49}$"  # of an event that a service reports
PAYMENT_REFUNDED = "payment_refunded"  # why a due is not granted, or its credit is clawed back
GRANT_REFERENCE = "rule:{rule}:{reference}"  # of the grant of a due

# A referral waits for an operator when so many friends of the same person registered before it.
MAX_FRIENDS_OF_NETWORK, NETWORK_WINDOW = 3, "1 day"  # from one network address: a household, not a farm
MAX_FRIENDS_AT_ONCE, BURST_WINDOW = 10, "1 hour"  # from anywhere


class HeldFor(models.TextChoices):
    """Why a referral waits for an operator."""

    NETWORK = "NETWORK", _("Many friends from one network address")
    BURST = "BURST", _("Many friends within an hour")
