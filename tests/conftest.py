"""What a level of tests may do follows from its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

IN_MEMORY = [Path(__file__).parent / level for level in ("unit", "simulation")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.path.is_relative_to(level) for level in IN_MEMORY):
            item.add_marker(pytest.mark.disable_socket)
