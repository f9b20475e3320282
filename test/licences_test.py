"""docs/licences.md lists every third party, and quarry itself loads nothing under the GPL."""

from __future__ import annotations

import importlib.util
import pathlib

from support.server import BIN, ROOT

SPEC = importlib.util.spec_from_file_location("licences_check", ROOT / "tools" / "licences" / "check.py")
check = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check)


def test_page_is_complete() -> None:
    assert check.check_all(pathlib.Path(BIN)) == []


def test_gpl_is_told_from_its_relatives() -> None:
    assert check.is_gpl("GPL-2.0-only OR GPL-3.0-only")
    assert check.is_gpl("AGPL-3.0-or-later (a linker)")
    assert not check.is_gpl("LGPL-3.0-or-later OR GPL-2.0-or-later")
    assert not check.is_gpl("GPL-3.0-or-later WITH GCC-exception-3.1")
