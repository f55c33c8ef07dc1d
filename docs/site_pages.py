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
CONSOLE = re.compile(r'<div class="language-console highlight">(<pre>.*?</pre>)', re.DOTALL)
COMMAND = re.compile(r"^\$ (.*(?:\\\n.*)*)", re.MULTILINE)
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
    """Let a click on a block of a terminal copy its commands, without prompts, comments and what they print."""
    return CONSOLE.sub(lambda found: f'<div class="language-console highlight"{_copied(found[1])}>{found[1]}', content)


def _copied(block: str) -> str:
    text = html.unescape(re.sub("<[^>]*>", "", block))
    commands = "\n".join(COMMENT.sub("", command) for command in COMMAND.findall(text))
    return f' data-copy="{html.escape(commands)}"'


def _example(path: Path) -> str:
    """Return the page of an example: what it says of itself, and all of it."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert isinstance(tree.body[0], ast.Expr)
    title, _, text = (ast.get_docstring(tree) or "").partition("\n\n")
    code = "\n".join(source.splitlines()[tree.body[0].end_lineno :]).strip()
    return f"# {path.name}\n\n{title}\n\n{text}\n\n```python\n{code}\n```\n"
