"""The product's settings, with a password hash that costs a test nothing."""

from cashback.settings import *  # noqa: F403

MIDDLEWARE = ["tests.application.AsTheApplication", *MIDDLEWARE]  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
