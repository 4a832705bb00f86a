"""Tests the documentation: each link leads somewhere, and each page is in the site."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("examples/*/*.md"), ROOT / "bench" / "README.md"])
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(page):
    """Return a page without its blocks of code."""
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def anchors_of(page):
    """Return the anchors of a page's headings, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_every_link_of_a_page_leads_somewhere(page):
    for link in LINK.findall(text_of(page)):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


def test_every_page_is_in_the_site_once():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^```{toctree}\n(?::.+\n)*\n([^`]+)^```", index, re.MULTILINE)
    listed = re.findall(r"^(?:.*<)?([\w/-]+)>?$", "".join(listed), re.MULTILINE)
    pages = sorted(page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md"))
    assert sorted(["index", *listed]) == pages


def test_every_page_of_the_project_is_included():
    included = {re.search(r"{include} \.\./\.\./(.+)$", page.read_text("utf-8"), re.MULTILINE)[1]
                for page in (DOCS / "included").iterdir()}  # fmt: skip
    assert included == {page.name for page in ROOT.glob("*.md")} - {"README.md"}


def test_messages_in_the_troubleshooting_of_releases_are_those_of_the_code():
    section = (DOCS / "troubleshooting.md").read_text("utf-8").partition("\n## Releases\n")[2].partition("\n## ")[0]
    source = "".join(path.read_text("utf-8") for path in sorted((ROOT / "cdn_release").glob("*.py")))
    parts = re.sub(r'"\n +f?"', "", source)  # a message that is written on two lines
    for cell in re.findall(r"^\| (`.+?) \| ", section, re.MULTILINE):
        for message in re.findall(r"`([^`]+)`", cell):
            for words in re.split(r"…|'[^']*'|[\w.]+/[\w./]*", message):
                assert words.strip(" ,:()") in parts, message
