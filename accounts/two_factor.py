"""Two-step verification of operators: a code of an authenticator app (TOTP, RFC 6238), or a recovery code.

Who has it signs in with a code through every interface, so each of their sessions and tokens was made with one. The
algorithms, the single use of a code and the growing pause after wrong ones are django-otp's. Secrets are stored encrypted and
recovery codes as digests, under keys derived from SECRET_KEY.
"""

from datetime import timedelta
from math import ceil
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from accounts import audit
from accounts.models import User
from accounts.passwords import verify_current_password
from accounts.sign_ins import end_other_sign_ins
from accounts.two_factor_devices import Authenticator, RecoveryCodes, normal_code
from kernel.rate_limits import RateLimited
from kernel.refusals import Conflict, Unauthenticated

SETUP_TIME = timedelta(minutes=15)  # between the secret and its first code


class CodeRequired(Unauthenticated):
    code = "two_factor_required"
    meaning = _("The password is right. This account also needs a code from its authenticator app.")
    detail = _("Enter the code from your authenticator app, or a recovery code.")


class CodeNotValid(Unauthenticated):
    code = "two_factor_not_valid"
    meaning = _("The code from the authenticator app or the recovery code is wrong or was used before.")
    detail = _("That code is wrong or was used before. Wait for the next one and try again.")


class NotSetUp(Unauthenticated):
    code = "two_factor_not_set_up"
    meaning = _("Operators of this installation need two-step verification, and this one has not set it up.")
    detail = _("Set up two-step verification first: sign in on the website and open your account.")


class SetupExpired(Conflict):
    code = "two_factor_setup_expired"
    meaning = _("The set-up of two-step verification was not completed in time, or was completed before.")
    detail = _("The set-up took too long. Start again.")


def require_code(user: User, code: str) -> None:
    """Return if `user` signs in without a second factor, or if this is a code of theirs, which is then used up.

    Raises CodeRequired, CodeNotValid, RateLimited after wrong ones. Callers have checked the password.
    """
    if user.two_factor_since is None:
        return
    if not code.strip():
        raise CodeRequired
    with transaction.atomic():
        device = find_device(user, normal_code(code))
        allowed, reason = device.verify_is_allowed() if device else (True, None)
        is_valid = bool(device and allowed and device.verify_token(normal_code(code)))
    # Raised after the commit: the count of wrong codes stays.
    if reason:
        raise RateLimited(max(1, ceil((reason["locked_until"] - timezone.now()).total_seconds())))
    if not is_valid:
        raise CodeNotValid


def find_device(user: User, code: str) -> Any:
    """Return what this code is checked against, locked, so that of two uses of one code one succeeds; None if it is missing."""
    model: Any = Authenticator if code.isdecimal() and len(code) == Authenticator.DIGITS else RecoveryCodes
    return model.objects.select_for_update().filter(user=user, confirmed=True).first()


def start_setup(user: User, current_password: str) -> None:
    """Make a new secret for the user, which counts once confirm_setup has seen a code of it.

    Raises ValidationError (for `current_password`), RateLimited, HashingBusy, SetupExpired if it is set up already.
    """
    with audit.recording_refusal("two_factor", user, step="start"):
        verify_current_password(user, current_password)
        with transaction.atomic():
            locked = User.objects.select_for_update(no_key=True).get(pk=user.pk)
            if locked.two_factor_since:
                raise SetupExpired
            Authenticator.objects.filter(user=user).delete()
            Authenticator.objects.create_for(user)


def unconfirmed_device(user: User) -> Authenticator | None:
    """Return the device whose set-up was started in the last minutes, or None."""
    recent = timezone.now() - SETUP_TIME
    return Authenticator.objects.filter(user=user, confirmed=False, created_at__gt=recent).first()


def confirm_setup(user: User, code: str, session_key: str | None) -> list[str]:
    """Require codes from now on, end all sign-ins but this session, and return the recovery codes, which are shown once.

    Raises SetupExpired, CodeNotValid, RateLimited.
    """
    with audit.recording_refusal("two_factor", user, step="confirm"):
        with transaction.atomic():
            codes = confirm_device(user, code)
            if codes:
                end_other_sign_ins(user, session_key)
        if not codes:  # raised after the commit: the count of wrong codes stays
            raise CodeNotValid
    audit.record_event("two_factor", "done", user, step="confirm")
    return codes


def confirm_device(user: User, code: str) -> list[str]:
    """Confirm the device whose code this is, and return new recovery codes; none if the code is wrong. Raises SetupExpired."""
    device = unconfirmed_device(user)
    locked = device and Authenticator.objects.select_for_update().filter(pk=device.pk, confirmed=False).first()
    if locked is None:
        raise SetupExpired
    if not locked.verify_token(normal_code(code)):
        return []
    Authenticator.objects.filter(pk=locked.pk).update(confirmed=True)
    User.objects.filter(pk=user.pk).update(two_factor_since=Now())
    return RecoveryCodes.objects.replace_for(user)


def replace_recovery_codes(user: User, current_password: str, code: str) -> list[str]:
    """Return new recovery codes in place of the old ones. Raises as remove_two_factor, and SetupExpired if it is off."""
    with audit.recording_refusal("two_factor", user, step="recovery_codes"):
        if user.two_factor_since is None:
            raise SetupExpired
        verify_current_password(user, current_password)
        require_code(user, code)
        with transaction.atomic():
            codes = RecoveryCodes.objects.replace_for(user)
    audit.record_event("two_factor", "done", user, step="recovery_codes")
    return codes


def remove_two_factor(user: User, current_password: str, code: str) -> None:
    """Sign in without a code from now on.

    Raises ValidationError (for `current_password`), CodeRequired, CodeNotValid, RateLimited, HashingBusy.
    """
    with audit.recording_refusal("two_factor", user, step="remove"):
        verify_current_password(user, current_password)
        require_code(user, code)
    reset_two_factor(user, user)


def reset_two_factor(user: User, actor: User | None) -> None:
    """Remove the second factor of a user who lost it. `actor` is a superuser, the user, or None for the command line."""
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(two_factor_since=None)
        Authenticator.objects.filter(user=user).delete()
        RecoveryCodes.objects.filter(user=user).delete()
    audit.record_event("two_factor", "done", actor, step="remove", person=str(user.pk))
