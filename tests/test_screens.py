"""What commands show on a terminal, as it is kept in tests/data/screens: nothing is wider than it, no name is cut."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from support.screens import SCENES, SCREENS, WIDTHS, draw, kept

MOST_LINES = 76  # of a report on a BERT of any size; the lines that build a pretrainer are two fifths of that


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, int], str]:
    return draw(tmp_path_factory.mktemp("screens"))


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", SCENES)
def test_a_command_shows_what_is_kept(drawn: Mapping[tuple[str, int], str], name: str, columns: int) -> None:
    """Write the screens anew with ``python tests/support/screens.py``, and look at each that changes."""
    assert drawn[name, columns] == kept(name, columns).read_text(encoding="utf-8")


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", SCENES)
def test_every_kept_screen_fits_its_width(name: str, columns: int) -> None:
    _, *lines = kept(name, columns).read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= columns
    assert len(lines) <= MOST_LINES


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", SCENES)
def test_names_break_at_slashes_alone(name: str, columns: int) -> None:
    """A part of a name that goes on in the next line would begin it; there is no such part of google-research's names."""
    _, *lines = kept(name, columns).read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert re.match(r" *(erNorm|ayer_|rd_emb|nel\b|ias\b|ense/|ATTRIBUTES)", line) is None


def test_the_folder_has_a_file_for_each_scene_and_width_and_no_other() -> None:
    assert {path.name for path in SCREENS.iterdir()} == {kept(name, n).name for name in SCENES for n in WIDTHS}
