"""mkdocs hook: copies files that a page links to outside of docs/ into the site."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

REPOSITORY = Path(__file__).parents[1]
OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)")


def on_files(files: Any, config: Any) -> Any:
    """Adds each linked file that exists as files/PATH.txt, so that browsers show its text."""
    for page in files.documentation_pages():
        for target in OUTSIDE.findall(page.content_string):
            path = REPOSITORY / target
            uri = _uri(target)
            if path.is_file() and uri not in files.src_uris:
                files.append(File.generated(config, uri, content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Points links that leave docs/ to the copies; one without a copy fails the strict build."""
    return OUTSIDE.sub(lambda link: f"]({_uri(link[1])}", markdown)


def _uri(target: str) -> str:
    return f"files/{target.removesuffix('/')}.txt"
