"""One local cloud for all tests of the way of a photo."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.recorded import recorded_cloud
from tests.shop import Shop

MAX_PHOTO_BYTES = 300_000


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    """A stack with small photos, quick waits, and an emulator that takes a second an image."""
    with recorded_cloud(
        wait_scale=0.05,
        emulator_seconds=1.0,
        parameters={
            "MaxPhotoBytes": str(MAX_PHOTO_BYTES),
            "SceneQuality": "80",
            "SkuPattern": "sku-([0-9]+)",
            # Looks every half a second, and no more submits at once than two cores can do.
            "SegmindPlan": "custom",
            "RequestsAMinute": "1000",
        },
    ) as shop:
        yield shop
