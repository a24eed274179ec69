"""Unit tests: the same examples every time where nobody looks, new ones on a desk."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest

from tests.unit.fakes import World
from tests.unit.wire import Wire, wired

hypothesis.settings.register_profile("desk", max_examples=60, deadline=None)
hypothesis.settings.register_profile("ci", parent=hypothesis.settings.get_profile("desk"), derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.fixture
def wire() -> Iterator[Wire]:
    with wired() as wire:
        yield wire


@pytest.fixture
def world() -> World:
    return World()
