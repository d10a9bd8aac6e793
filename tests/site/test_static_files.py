"""Static files are kept by browsers for as long as they are what they were."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.templatetags.static import static
from django.test import Client

from afterimage_web import static_files


@pytest.mark.django_db
def test_pages_name_their_files_with_a_version_and_these_are_served(client: Client) -> None:
    page = client.get("/login/", follow=True).content.decode()
    addresses = re.findall(r'"(/static/[^"]+)"', page)
    assert {address.partition("?")[0] for address in addresses} >= {"/static/app.css", "/static/app.js"}
    for address in addresses:
        assert re.search(r"\?v=[0-9a-f]{12}$", address)
        answer = client.get(address)
        assert answer.status_code == 200
        assert "max-age=86400" in answer["Cache-Control"]


def test_another_content_is_another_address(settings: LazySettings, tmp_path: Path) -> None:
    settings.STATICFILES_DIRS = [tmp_path]
    addresses = set()
    for text in ("a {}", "b {}", "b {}"):
        (tmp_path / "made.css").write_text(text)
        static_files._version.cache_clear()
        addresses.add(static("made.css"))
    assert len(addresses) == 2


def test_a_file_that_is_not_there_has_no_version() -> None:
    assert static("no/such.css") == "/static/no/such.css"
