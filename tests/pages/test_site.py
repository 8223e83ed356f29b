"""Help, terms, privacy and the verification of receipts, for everyone."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from wallet.actions import seal_ledger
from wallet.actions.claim import claim_asset
from wallet.assets.models import CashbackAsset
from wallet.ledger import signing
from wallet.ledger.models import Entry

PAGES = ["help", "terms", "privacy", "verify"]


@pytest.mark.parametrize("name", PAGES)
def test_footer_of_every_page_leads_there_without_sign_in_or_query(
    client: Client, db: None, name: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        page = client.get(reverse(name))

    assert page.status_code == 200
    for other in PAGES:
        assert f'href="{reverse(other)}"' in page.content.decode()


@pytest.mark.parametrize("name", ["terms", "privacy"])
def test_placeholder_says_that_nothing_was_published(client: Client, name: str) -> None:
    page = client.get(reverse(name)).content.decode()

    assert "published" in page
    assert f"site/{name}.html" in page


def test_platforms_own_template_replaces_the_placeholder(client: Client, tmp_path: Path, settings: Any) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/terms.html").write_text('{% extends "base.html" %}{% block content %}Our own terms.{% endblock %}')
    (engine,) = settings.TEMPLATES
    settings.TEMPLATES = [engine | {"DIRS": [tmp_path, *engine["DIRS"]]}]

    page = client.get(reverse("terms")).content.decode()

    assert "Our own terms." in page
    assert "published" not in page


def test_keys_are_the_trusted_ones_the_current_one_first(client: Client, settings: Any) -> None:
    settings.SEAL_PUBLIC_KEYS = ["ab" * 32]

    keys = client.get(reverse("public_keys")).json()["keys"]

    assert keys == [
        {"algorithm": "Ed25519", "public_key": signing.public_key().hex(), "current": True},
        {"algorithm": "Ed25519", "public_key": "ab" * 32, "current": False},
    ]
    page = client.get(reverse("verify")).content.decode()
    assert all(key["public_key"] in page for key in keys)


@pytest.mark.django_db(transaction=True)
def test_downloaded_verifier_and_published_key_verify_a_downloaded_proof(
    client: Client, alice: User, issue: Callable[..., CashbackAsset], tmp_path: Path
) -> None:
    claim_asset(issue().pk, alice)
    seal_ledger.seal_all()
    client.force_login(alice)
    script, proof = tmp_path / "verify_proof.py", tmp_path / "claim.json"
    script.write_bytes(client.get(reverse("verifier")).content)
    answer = client.get(reverse("proof", args=[Entry.objects.get().pk]))
    proof.write_text(json.dumps(answer.json()))
    key = client.get(reverse("public_keys")).json()["keys"][0]["public_key"]

    done = subprocess.run([sys.executable, script, proof, "--public-key", key], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert "100.0000 INR" in done.stdout


def test_served_verifier_is_the_one_of_the_examples(client: Client) -> None:
    assert client.get(reverse("verifier")).content == (Path(settings.BASE_DIR) / "examples/verify_proof.py").read_bytes()
