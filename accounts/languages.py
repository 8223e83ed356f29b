"""A person's language for emails: the one of the pages when they first sign in, and then the one they choose."""

from django.conf import settings

from accounts.models import User

LANGUAGES = [code for code, _ in settings.LANGUAGES]


def language_of(user: User) -> str:
    """Return the user's language; the default one while none is known."""
    return user.language if user.language in LANGUAGES else settings.LANGUAGE_CODE


def adopt_language(user: User, code: str) -> None:
    """Store `code` as the user's language unless they have one already."""
    if not user.language and code in LANGUAGES and User.objects.filter(pk=user.pk, language="").update(language=code):
        user.language = code


def change_language(user: User, code: str) -> None:
    """Store `code`, one of LANGUAGES, as the user's language."""
    user.language = code
    user.save(update_fields=["language"])
