"""A hook of MkDocs: files outside docs/ are pages of the site, links written for the repository lead to pages, and a click
on a block of commands copies what one would type.
"""

from __future__ import annotations

import ast
import html
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
OUTSIDE = {  # file of the repository: its page
    "README.ko.md": "ko.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
    "benchmarks/RESULTS.svg": "RESULTS.svg",
}
EXAMPLES = {path.relative_to(ROOT).as_posix(): path for path in sorted((ROOT / "examples").glob("*.py"))}
PAGES = {
    "README.md": "index.md",
    "examples": "examples.md",
    **OUTSIDE,
    **{name: f"examples/{path.stem}.md" for name, path in EXAMPLES.items()},
}
LINK = re.compile(r"(\]\()([^)#:\s]+)(#[^)\s]*)?(\))")
PROMPTED = re.compile(r'<div class="(language-(console|pycon) highlight)">(<pre>.*?</pre>)', re.DOTALL)
TYPED = {  # what one types in a block of this language
    "console": re.compile(r"^\$ (.*(?:\\\n.*)*)", re.MULTILINE),
    "pycon": re.compile(r"^(?:>>>|\.\.\.) ?(.*)", re.MULTILINE),
}
COMMENT = re.compile(r" +# .*")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that stand outside, and one for each example."""
    for path, name in OUTSIDE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    for name, path in EXAMPLES.items():
        files.append(File.generated(config, PAGES[name], content=_example(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the links to other files of the repository into links to their pages."""
    home = next((path for path, name in OUTSIDE.items() if name == page.file.src_uri), f"docs/{page.file.src_uri}")
    here = os.path.dirname(page.file.src_uri)

    def turn(link: re.Match[str]) -> str:
        target = os.path.normpath(os.path.join(os.path.dirname(home), link[2]))
        target = PAGES.get(target, target.removeprefix("docs/"))
        return f"{link[1]}{os.path.relpath(target, here or '.')}{link[3] or ''}{link[4]}"

    return LINK.sub(turn, markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Let a click on a block with prompts copy what one types there, without comments and what is printed."""
    return PROMPTED.sub(lambda found: f'<div class="{found[1]}"{_copied(found[2], found[3])}>{found[3]}', content)


def _copied(language: str, block: str) -> str:
    text = html.unescape(re.sub("<[^>]*>", "", block))
    typed = "\n".join(COMMENT.sub("", line) for line in TYPED[language].findall(text))
    return f' data-copy="{html.escape(typed)}"'


def _example(path: Path) -> str:
    """Return the page of an example: what it says of itself, and all of it."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert isinstance(tree.body[0], ast.Expr)
    title, _, text = (ast.get_docstring(tree) or "").partition("\n\n")
    code = "\n".join(source.splitlines()[tree.body[0].end_lineno :]).strip()
    return f"# {path.name}\n\n{title}\n\n{text}\n\n```python\n{code}\n```\n"
