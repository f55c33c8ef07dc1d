"""Families of the user's own: a folder for each, beside those that come with tfckpt."""

from __future__ import annotations

from tfckpt.errors import LayoutError
from tfckpt.families.catalog import CATALOG, Catalog
from tfckpt.families.language.layout_file import FAMILY, read_family
from tfckpt.storage import files
from tfckpt.storage.paths import join


def read_families(folder: str) -> Catalog:
    """Return the catalog with the families of a folder, which come first: whoever gives it means them.

    Args:
        folder: of folders, each a family as `read_family` has it; or the folder of one family.
    Raises:
        LayoutError: there is no family, one has the name of another, or tables are wrong; lists everything that is.
        CheckpointNotFoundError, StorageError, FormatError: a file cannot be read, is too large, or is not UTF-8.
    """
    names = sorted(files.list_directory(folder))
    folders = [folder] if FAMILY in names else [join(folder, name) for name in names]
    found = [read_family(path) for path in folders if files.is_file(join(path, FAMILY))]
    if not found:
        raise LayoutError([f"{folder}: expected a folder for each family, with a {FAMILY} in it"])
    known = {family.name.lower() for family in CATALOG.families}
    for family, _ in found:
        if family.name.lower() in known:
            raise LayoutError([f"{folder}: family {family.name!r}: there is one of that name already"])
        known.add(family.name.lower())
    own = Catalog(tuple(family for family, _ in found), tuple(layout for _, layouts in found for layout in layouts))
    return CATALOG.with_families(own)
