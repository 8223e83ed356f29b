"""Translations and language choice of the pages."""

import ast
import gettext
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.template import Context, Template
from django.test import Client
from django.urls import reverse
from django.utils import translation

from accounts.models import User
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset

ROOT = Path(settings.BASE_DIR)
TEMPLATES = [
    *(ROOT / "wallet/pages/templates").rglob("*.html"),
    *(ROOT / "accounts/templates").rglob("*.html"),
    *(ROOT / "cashback/templates").glob("*.html"),
]
MODULES = [*(ROOT / "wallet/pages").glob("*.py"), *(ROOT / "accounts").glob("*.py")]
MARKERS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
TRANSLATE = re.compile(r"""{%\s*translate\s+(?:"([^"]+)"|'([^']+)')""")
BLOCK = re.compile(r"{%\s*blocktranslate[^%]*%}(.*?){%\s*(?:plural|endblocktranslate)\s*%}", re.DOTALL)


def template_texts() -> Iterator[str]:
    for path in TEMPLATES:
        text = path.read_text()
        yield from (double or single for double, single in TRANSLATE.findall(text))
        yield from (re.sub(r"{{\s*(\w+)\s*}}", r"%(\1)s", body) for body in BLOCK.findall(text))


def module_texts() -> Iterator[str]:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS:
                yield str(ast.literal_eval(node.args[0]))


def test_every_text_of_the_pages_has_a_hindi_translation() -> None:
    with (ROOT / "locale/hi/LC_MESSAGES/django.mo").open("rb") as file:
        hindi = gettext.GNUTranslations(file)
    texts = {*template_texts(), *module_texts()}

    missing = {text for text in texts if hindi.gettext(text) == text and hindi.ngettext(text, text, 2) == text}
    plural = {text for text in missing if hindi._catalog.get((text, 0))}  # type: ignore[attr-defined]

    assert len(texts) > 150
    assert missing - plural == set()


def test_templates_have_no_untranslated_text() -> None:
    bare = {}
    for path in TEMPLATES:
        text = re.sub(
            r"{%\s*blocktranslate.*?endblocktranslate\s*%}|{[{%].*?[%}]}|<svg.*?</svg>", "", path.read_text(), flags=re.DOTALL
        )
        words = re.findall(r"[A-Za-z]{3,}", re.sub(r"<[^>]*>", " ", text))
        if words_left := [word for word in words if word not in {"Cashback", "doctype", "html"}]:
            bare[path.name] = words_left

    assert bare == {}


def test_chosen_language_is_kept(client: Client, db: None) -> None:
    answer = client.post(reverse("set_language"), {"language": "hi", "next": "/sign-in/"})
    page = client.get("/sign-in/").content.decode()

    assert answer["Location"] == "/sign-in/"
    assert '<html lang="hi">' in page
    assert "साइन इन" in page


def test_language_form_needs_the_csrf_token(db: None) -> None:
    strict = Client(enforce_csrf_checks=True)

    assert strict.post(reverse("set_language"), {"language": "hi"}).status_code == 403


def test_accept_language_header_selects_hindi(client: Client, db: None) -> None:
    page = client.get("/register/", headers={"Accept-Language": "hi-IN,hi;q=0.9"}).content.decode()

    assert "अपना खाता बनाएँ" in page
    assert "कोई आम पासवर्ड नहीं" in page


def test_api_answers_in_english_whatever_the_request_accepts(client: Client, db: None) -> None:
    client.get("/register/", headers={"Accept-Language": "hi"})  # a thread keeps the language of its last request

    answer = client.post(
        "/api/v1/auth/register/", {"email": "carol", "password": "123"}, "application/json", headers={"Accept-Language": "hi"}
    )

    assert answer.status_code == 400
    assert answer.content.decode().isascii()


def test_form_errors_are_translated(client: Client, db: None) -> None:
    answer = client.post("/register/", {"email": "carol@example.com", "password": "123"}, headers={"Accept-Language": "hi"})

    assert answer.context["form"].errors["password"] == [
        "यह पासवर्ड बहुत छोटा है। इसमें कम से कम 10 अक्षर होने चाहिए।",
        "यह पासवर्ड बहुत आम है।",
        "इस पासवर्ड में केवल अंक हैं।",
    ]


def test_claim_and_refusal_are_translated(alice_client: Client, bob: User, issue: Callable[..., CashbackAsset]) -> None:
    mine, gone = issue(), issue()
    claim_asset(gone.pk, bob)
    headers = {"Accept-Language": "hi", "HX-Request": "true"}

    claimed = alice_client.post(reverse("claim_asset", args=[mine.pk]), headers=headers).content.decode()
    refused = alice_client.post(reverse("claim_asset", args=[gone.pk]), headers=headers).content.decode()

    assert "आपके वॉलेट में आ गया है।" in claimed
    assert "अभी-अभी किसी और ने क्लेम किया" in refused


@pytest.mark.parametrize(
    ("amount", "currency", "language", "text"),
    [
        ("1234567.5", "INR", "en", "₹12,34,567.50"),
        ("1234567.5", "USD", "en", "$1,234,567.50"),
        ("1234567.5", "USD", "hi", "$12,34,567.50"),
        ("1234567", "JPY", "en", "¥1,234,567"),
        ("1234.125", "KWD", "en", "KWD\N{NO-BREAK SPACE}1,234.125"),
        ("0.05", "EUR", "hi", "€0.05"),
    ],
)
def test_money_is_grouped_for_the_language(amount: str, currency: str, language: str, text: str) -> None:
    with translation.override(language):
        written = Template("{% load pages %}{{ amount|money:currency }}").render(
            Context({"amount": Decimal(amount), "currency": currency})
        )

    assert written == text


def test_languages_are_listed_under_their_own_names(client: Client, db: None) -> None:
    for asked in ("en", "hi"):
        page = client.get("/sign-in/", headers={"Accept-Language": asked}).content.decode()

        assert ">English</button>" in page
        assert ">हिन्दी</button>" in page
