"""Links of the README and of docs: each leads somewhere, and each page is reached."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.places import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "tests" / "data" / "README.md",
    ROOT / "bench" / "README.md",
]


def links(page: Path) -> list[tuple[Path, str]]:
    """Return the files that a page links to in the checkout, and the heading of each ("" where there is none)."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    inside = [target.partition("#") for target in targets if not re.match(r"\w+:", target)]
    return [((page.parent / path).resolve() if path else page, heading) for path, _, heading in inside]


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, heading in links(page):
        assert target.exists(), target
        assert not heading or heading in headings(target), f"{target.name}#{heading}"


def test_every_page_is_linked() -> None:
    reached = {target for page in PAGES for target, _ in links(page) if target != page}
    assert not set((ROOT / "docs").iterdir()) - reached
