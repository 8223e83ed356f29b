"""Closing an account: the person is pseudonymised everywhere, and what they own stays in the ledger under the pseudonym."""

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_noop as _

from accounts import audit, two_factor
from accounts.models import CLOSED_DOMAIN, BrowserSession, Role, TokenFamily, User
from accounts.passwords import current_password_error, verify_current_password
from accounts.two_factor_devices import Authenticator, RecoveryCodes
from kernel.refusals import Conflict


class LastAdmin(Conflict):
    code = "last_admin"
    meaning = _("The only active ADMIN cannot close their account, because no one could issue credits afterwards.")
    detail = _("You are the only operator. Make someone else an operator first.")


def close_account(user: User, current_password: str, code: str = "") -> None:
    """Close the account of `user` for good: signing in becomes impossible, and its email may register again as a new person.

    Raises ValidationError (for `current_password`), CodeRequired, CodeNotValid, RateLimited, HashingBusy, LastAdmin; then
    nothing has changed. Callers count the attempt first.
    """
    with audit.recording_refusal("close", user):
        verify_current_password(user, current_password)
        two_factor.require_code(user, code)
        with transaction.atomic():
            if user.role == Role.ADMIN:
                check_other_admins(user)
            pseudonymise_user(user)
            forget_sign_ins(user)
    audit.record_event("close", "done", user)


def check_other_admins(user: User) -> None:
    """Raise LastAdmin unless there is another active ADMIN; they are locked, so that two cannot leave at once."""
    admins = User.objects.select_for_update(no_key=True).filter(role=Role.ADMIN, is_active=True).order_by("pk")
    if {admin.pk for admin in admins} <= {user.pk}:
        raise LastAdmin


def pseudonymise_user(user: User) -> None:
    """Replace what names the person, in the user's row and in the console's log. A trigger does the same in the change history.

    Raises ValidationError if the password was changed since it was checked.
    """
    pseudonym = f"closed-{user.pk.hex[-12:]}{CLOSED_DOMAIN}"
    closed = User.objects.filter(pk=user.pk, password=user.password, is_active=True).update(
        email=pseudonym,
        password=make_password(None),
        is_active=False,
        is_superuser=False,
        email_verified_at=None,
        pending_email="",
        two_factor_since=None,
        last_login=None,
        closed_at=Now(),
    )
    if not closed:
        raise current_password_error()
    log = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk))
    log.update(object_repr=pseudonym, change_message="")


def forget_sign_ins(user: User) -> None:
    """Delete the user's sign-ins, with their addresses and devices, and the second factor."""
    for model in (TokenFamily, BrowserSession, Authenticator, RecoveryCodes):
        model.objects.filter(user=user).delete()
