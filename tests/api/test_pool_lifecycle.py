"""/pools/{id}/archive/, unarchive/ and duplicate/."""

from collections.abc import Callable

import pytest

from tests.api.conftest import ROOT, Caller
from wallet.assets.models import CreditPool

POOLS = f"{ROOT}/pools/"
OpenPool = Callable[..., CreditPool]


def names(caller: Caller, query: str = "") -> list[str]:
    return [pool["name"] for pool in caller.get(f"{POOLS}{query}").json()["results"]]


def test_archived_pool_leaves_the_list_and_comes_back(as_ada: Caller, as_alice: Caller, open_pool: OpenPool) -> None:
    pool = open_pool(name="Diwali")
    open_pool(name="Holi")

    archived = as_ada.post(f"{POOLS}{pool.pk}/archive/")

    assert (archived.status_code, archived.json()["is_active"]) == (200, False)
    assert archived.json()["archived_at"] is not None
    assert names(as_ada) == names(as_ada, "?archived=false") == names(as_alice) == ["Holi"]
    assert names(as_ada, "?archived=true") == ["Diwali"]
    assert names(as_alice, "?archived=true") == []
    assert as_ada.get(f"{POOLS}{pool.pk}/").status_code == 200
    assert as_alice.get(f"{POOLS}{pool.pk}/").status_code == 404
    assert as_ada.post(f"{POOLS}{pool.pk}/unarchive/").json()["archived_at"] is None
    assert names(as_ada) == ["Holi", "Diwali"]


def test_archived_pool_cannot_be_activated(as_ada: Caller, open_pool: OpenPool) -> None:
    pool = open_pool()
    as_ada.post(f"{POOLS}{pool.pk}/archive/")

    answer = as_ada.patch(f"{POOLS}{pool.pk}/", {"is_active": True})

    assert answer.status_code == 400
    assert "Unarchive it first" in str(answer.json())


def test_users_do_not_learn_that_a_pool_can_be_archived(as_alice: Caller, open_pool: OpenPool) -> None:
    assert "archived_at" not in as_alice.get(f"{POOLS}{open_pool().pk}/").json()


@pytest.mark.parametrize("value", ["perhaps", "", "1"])
def test_unreadable_filter_is_refused(as_ada: Caller, value: str) -> None:
    assert as_ada.get(f"{POOLS}?archived={value}").status_code == 400


def test_duplicate_is_paused_under_its_own_name(as_ada: Caller, open_pool: OpenPool) -> None:
    pool = open_pool(name="Diwali", per_user_limit=2)

    answer = as_ada.post(f"{POOLS}{pool.pk}/duplicate/", {"name": "Holi"})

    assert answer.status_code == 201
    assert answer.json() | {"id": ""} == as_ada.get(f"{POOLS}{pool.pk}/").json() | {
        "id": "",
        "name": "Holi",
        "is_active": False,
    }


@pytest.mark.parametrize("body", [{}, {"name": "Diwali"}, {"name": ""}, {"name": "Holi", "kind": "SIGNUP"}])
def test_wrong_duplicate_opens_nothing(as_ada: Caller, open_pool: OpenPool, body: dict[str, str]) -> None:
    assert as_ada.post(f"{POOLS}{open_pool(name='Diwali').pk}/duplicate/", body).status_code == 400
    assert CreditPool.objects.count() == 1
