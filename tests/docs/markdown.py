"""Reads code blocks and links out of the documentation."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "examples/*.md", "firmware/*.md")
    for path in REPOSITORY.glob(pattern)
)


def blocks(language: str, pages: list[Path] = PAGES) -> list[tuple[str, str]]:
    """Returns the code blocks of a language as (page name, text)."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [(page.name, text) for page in pages for text in pattern.findall(page.read_text())]


def links(page: Path) -> list[str]:
    """Returns the targets of a page's relative links, without anchors."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    return [target for target in targets if target.strip()]
