"""The product's settings, with a password hash that costs a test nothing."""

from cashback.settings import *  # noqa: F403

MIDDLEWARE = ["tests.application.AsTheApplication", *MIDDLEWARE]  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# One test after the other is one reader who never pauses: a slot that rested would only make them wait.
SEARCH_SHARE = EXPORT_SHARE = 1.0
