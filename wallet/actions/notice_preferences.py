"""Which emails a person gets, and in which language."""

from collections.abc import Mapping

from accounts import audit
from accounts.email_links import LinkNotValid
from accounts.languages import change_language
from accounts.models import User
from kernel.transactions import atomic_with_retry
from wallet.notices.models import NoticeKind, NoticeOptOut
from wallet.notices.unsubscribe_links import read_unsubscribe_token


@atomic_with_retry(idempotent=True)
def change_notice_preferences(user: User, wanted: Mapping[NoticeKind, bool], language: str | None = None) -> None:
    """Turn kinds of emails on or off for `user`; kinds that are not named stay as they are.

    Arguments:
        language: the language of emails, one of accounts.languages.LANGUAGES; None: unchanged.
    """
    unwanted = [kind for kind, is_wanted in wanted.items() if not is_wanted]
    NoticeOptOut.objects.bulk_create([NoticeOptOut(user=user, kind=kind) for kind in unwanted], ignore_conflicts=True)
    NoticeOptOut.objects.filter(user=user, kind__in=[kind for kind, is_wanted in wanted.items() if is_wanted]).delete()
    if language is not None:
        change_language(user, language)


def unsubscribe_by_link(token: str) -> NoticeKind:
    """Turn off the kind of emails that the link of an email names, and return it. Safe to repeat. Raises LinkNotValid."""
    user, kind = user_of_unsubscribe_link(token)
    change_notice_preferences(user, {kind: False})
    audit.record_event("unsubscribe", "done", user, kind=kind)
    return kind


def user_of_unsubscribe_link(token: str) -> tuple[User, NoticeKind]:
    """Return the user and the kind that a link names; raise LinkNotValid."""
    user_id, kind = read_unsubscribe_token(token)
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise LinkNotValid
    return user, kind
