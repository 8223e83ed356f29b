"""EMAIL_URL: printed, not sent, by SMTP, or through a provider's API."""

from importlib import import_module
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from cashback.env import MAIL_PROVIDERS, read_email_url


def read(monkeypatch: pytest.MonkeyPatch, value: str) -> dict[str, Any]:
    monkeypatch.setenv("EMAIL_URL", value)
    return read_email_url("EMAIL_URL")


def test_smtp_is_read_with_its_password_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(monkeypatch, "smtp+tls://me%40example.com:p%40ss@mail.example.com:587")

    assert found["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend"
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_USE_TLS"]) == ("mail.example.com", 587, True)
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("me@example.com", "p@ss")


@pytest.mark.parametrize("provider", MAIL_PROVIDERS)
def test_a_provider_is_named_by_its_scheme(monkeypatch: pytest.MonkeyPatch, provider: str, settings: Any) -> None:
    found = read(monkeypatch, f"{provider}://se%2Fcret@")

    assert found["ANYMAIL"][MAIL_PROVIDERS[provider]] == "se/cret"
    settings.ANYMAIL = found["ANYMAIL"]
    module, _, name = found["EMAIL_BACKEND"].rpartition(".")
    assert getattr(import_module(module), name)() is not None  # the package knows the backend and takes the key


@pytest.mark.parametrize("value", ["postmark://", "postmark://@", "postmark://key", "pigeon://key@", "nonsense"])
def test_anything_else_is_refused_with_an_example(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^EMAIL_URL must be"):
        read(monkeypatch, value)


def test_a_provider_whose_package_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cashback.env.find_spec", lambda _: None)

    with pytest.raises(ImproperlyConfigured, match="django-anymail is not installed"):
        read(monkeypatch, "postmark://key@")
