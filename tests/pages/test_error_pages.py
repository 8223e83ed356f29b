"""What a visitor sees when something is wrong."""

import pytest
from django.template import loader
from django.test import Client


def test_an_unknown_address_is_a_page_with_a_way_on(client: Client, db: None) -> None:
    answer = client.get("/no-such-page/")

    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "405", "500", "503"])
def test_every_error_page_stands_without_a_request(name: str) -> None:
    page = loader.get_template(f"{name}.html").render()

    assert "<h1>" in page
    assert 'class="button"' in page
