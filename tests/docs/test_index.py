"""``docs/README.md`` names every page once, and every link of a page leads somewhere."""

import re

import pytest
from pages import DOCS, PAGES, table_rows, text_of


def test_index_names_every_page_once():
    named = [re.fullmatch(r"\[(.+)\]\((.+)\)", row[0]).groups() for row in table_rows("README.md", "page")]
    assert all(title == target for title, target in named)
    there = {*PAGES, *(path.name for path in DOCS.glob("*.ipynb"))} - {"README.md"}
    assert sorted(target for _, target in named) == sorted(there)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)\)", text_of(page)):
        if not target.startswith("http"):
            assert (DOCS / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page):
    for name in re.findall(r"`((?:manifests|recipes|mer_data|cider|tests)/[\w./-]+)`", text_of(page)):
        assert (DOCS.parent / name).exists(), name
