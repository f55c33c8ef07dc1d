"""What runs the documentation: it notices each way in which a page can be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from support.pages import Block, Command, Page, check, commands, run

PYTHON = "```python\n{}\n```\n"


@dataclass(frozen=True)
class Text(Page):
    """A page that is no file."""

    content: str = ""

    @property
    def text(self) -> str:
        return self.content


def page(*parts: str) -> Text:
    return Text("page", "\n".join(parts))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a\nb", "a  \nb", True),
        ("a", "a\nb\n", False),
        ("a\n...", "a\nb\nc\n", True),
        ("...\na", "b\na\n", True),
        ("...\na", "a\n", True),
        ("a ... d", "a b c d\n", True),
        ("a ... d", "a b c\nd\n", False),
        ("", "whatever\n", True),
    ],
)
def test_what_is_shown_is_what_is_printed(shown: str, printed: str, same: bool) -> None:
    if same:
        check("here", shown.splitlines(), printed)
    else:
        with pytest.raises(AssertionError, match="here: the page shows"):
            check("here", shown.splitlines(), printed)


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        (PYTHON.format("print(1)") + "\n```text\n2\n```", "the page shows"),
        (PYTHON.format("assert 1 == 2, 'so'"), "so"),
        ("    tfckpt ls nowhere", "exit code 1"),
        ("    tfckpt --version    # exit code 1", "exit code 0"),
        ("    tfckpt no-such-command", "exit code 2"),
        ("    false && echo no", "exit code 1"),
        ("```console\n$ tfckpt --version\ntfckpt 9\n```", "the page shows"),
        ("```console\n$ echo a | cat\nb\n```", "the page shows"),
    ],
)
def test_a_page_that_is_wrong_is_noticed(block: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=complaint):
        run(page("# Title", "", block), tmp_path, tensorflow=False)


@pytest.mark.parametrize("text", ["```python hl_lines\n```", "``` python\n```"])
def test_a_fence_that_nothing_understands_is_noticed(text: str) -> None:
    with pytest.raises(AssertionError, match="no test understands"):
        page(text).tensorflow_sections  # noqa: B018 - reads the blocks


def test_commands_have_their_outputs_their_exit_codes_and_may_go_on() -> None:
    block = Block("console", "", "$ tfckpt ls a \\\n  b  # exit code 3\nx\n\n$ tfckpt c\n$ pip install d && e", 1, 1)
    assert commands(block) == [
        Command("tfckpt ls a   b  # exit code 3", ("x", "")),
        Command("tfckpt c"),
        Command("pip install d && e"),
    ]
    assert [(command.code, command.parts[-1]) for command in commands(block)][::2] == [
        (3, commands(block)[0].text),
        (0, "e"),
    ]
    assert not Command("tfckpt ls b  # not run by the tests").runs
    assert not Command("pip install tfckpt").runs


def test_blocks_share_names_and_files_and_a_titled_block_is_a_file(tmp_path: Path) -> None:
    scope = run(
        page(
            "# Title",
            PYTHON.format("import tfckpt\ntfckpt.save('made', {'w': [1]})"),
            "    tfckpt ls made",
            "",
            PYTHON.format("with open('names.csv') as file:\n    names = file.read().split(',')"),
            '```csv title="names.csv"\na,b\n```',
        ),
        tmp_path,
        tensorflow=False,
    )
    assert scope["names"] == ["a", "b\n"]


def test_a_section_needs_tensorflow_if_it_imports_it_or_uses_what_such_a_section_made(tmp_path: Path) -> None:
    text = page(
        "# One",
        PYTHON.format("a = 1"),
        "# Two",
        PYTHON.format("from official.nlp import modeling\nmodel = raised = 1"),
        "# Three",
        PYTHON.format("b = model"),
        "    false",
        "",
        "# Four",
        PYTHON.format("model = 2\nc = model"),
        "# Five",
        PYTHON.format("assert b == 1"),
    )
    assert text.tensorflow_sections == {2, 3, 5}
    scope = run(text, tmp_path, tensorflow=False)
    assert (scope["a"], scope["c"], "b" in scope) == (1, 2, False)
