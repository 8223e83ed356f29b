"""Which titles a search names: those that hold its text, or none when there are too many titles to look through."""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from tests.api.conftest import ROOT
from tests.security.conftest import as_caller
from wallet.assets import querysets
from wallet.assets.models import CashbackAsset


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two titles are already too many."""
    monkeypatch.setattr(querysets, "MAX_TITLES", 1)
    yield
    querysets.many_titles.clear()


@pytest.mark.usefixtures("few")
def test_too_many_titles_are_remembered_and_the_search_finds_the_same(
    alice: User, issue: Callable[..., CashbackAsset], monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = issue(title="Lamp of a hundred rupees")
    assert CashbackAsset.objects.titles_with("lamp") == [lamp.title]
    issue(title="Zanzibar")

    assert CashbackAsset.objects.titles_with("lamp") is None
    with CaptureQueriesContext(connection) as asked:
        found = as_caller(alice).get(f"{ROOT}/assets/?search=lAMP").json()["results"]

    assert [each["id"] for each in found] == [str(lamp.pk)]
    assert not any("RECURSIVE" in query["sql"] for query in asked.captured_queries)
    monkeypatch.setattr(querysets, "MAX_TITLES", 5)
    querysets.many_titles[connection.settings_dict["NAME"]] -= querysets.MANY_TITLES_SECONDS
    assert CashbackAsset.objects.titles_with("lamp") == [lamp.title]
