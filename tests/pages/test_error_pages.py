"""The error pages."""

import pytest
from django.template import loader
from django.test import Client


def test_unknown_url_shows_the_404_page(client: Client, db: None) -> None:
    answer = client.get("/no-such-page/")

    assert answer.status_code == 404
    assert "Page not found" in answer.content.decode()


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "405", "500", "503"])
def test_error_page_renders_without_a_request(name: str) -> None:
    page = loader.get_template(f"{name}.html").render()

    assert "<h1>" in page
    assert 'class="button"' in page
