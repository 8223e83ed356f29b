"""The words for each constraint of users that an entered value can violate."""

from django.utils.translation import gettext_noop as _

from kernel.constraint_words import Words

WORDS: Words = {
    "accounts_user_email_key": ("email", _("This email already has an account. Sign in instead.")),
    # PostgreSQL's lower() changes more letters than Python's.
    "user_email_lower_case": ("email", _("Use only standard letters, numbers and symbols in the email.")),
    "user_pending_lower_case": ("email", _("Use only standard letters, numbers and symbols in the email.")),
    "referral_code_known": ("referral_code", _("This invitation code does not exist. Check it, or leave it blank.")),
    "user_role_known": ("role", _("Choose one of the roles: ADMIN or USER.")),
}
