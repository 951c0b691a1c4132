"""mkdocs hook: makes pages of Markdown files outside docs/, and keeps links valid in the site."""

import re
from pathlib import Path
from posixpath import dirname, normpath
from typing import Any

from mkdocs.structure.files import File

REPOSITORY = Path(__file__).parents[1]
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/README.md": "examples.md",
    "firmware/README.md": "appliance.md",
    "firmware/jetson.md": "jetson.md",
    "train/README.md": "trainer.md",
}
"""Files outside docs/ that become pages, and the names of these pages."""
SOURCES = {page: source for source, page in PAGES.items()}
LINK = re.compile(r"(!?\[[^\[\]]*\])\(([^)#:\s]+)(#[^)]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages of PAGES, and each file that a page links to as files/PATH.txt."""
    for source, page in PAGES.items():
        content = (REPOSITORY / source).read_text()
        files.append(File.generated(config, page, content=content))
    for page in list(files.documentation_pages()):
        for _, target, _ in LINK.findall(page.content_string):
            path = _path(page.src_uri, target)
            if _is_copied(path) and f"files/{path}.txt" not in files.src_uris:
                content = (REPOSITORY / path).read_bytes()
                files.append(File.generated(config, f"files/{path}.txt", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Points links to pages and copies of the site; links to folders become plain text."""

    def rewritten(link: re.Match[str]) -> str:
        text, target, anchor = link.groups(default="")
        path = _path(page.file.src_uri, target)
        if (REPOSITORY / path).is_dir():
            return text.strip("[]")
        if _is_copied(path):
            return f"{text}(files/{path}.txt)"
        return f"{text}({PAGES.get(path, path.removeprefix('docs/'))}{anchor})"

    return LINK.sub(rewritten, markdown)


def _path(page: str, target: str) -> str:
    """Returns the path, relative to the repository, that a page links to."""
    return normpath(f"{dirname(SOURCES.get(page, f'docs/{page}'))}/{target}").lstrip("/")


def _is_copied(path: str) -> bool:
    is_page = path in PAGES or path.startswith("docs/")
    return not is_page and (REPOSITORY / path).is_file()
