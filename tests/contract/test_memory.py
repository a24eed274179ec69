"""FinalizeFunction streams: what it takes does not follow from how large the image is."""

from __future__ import annotations

from itertools import groupby

from benchmarks.memory import SIZES_BYTES, measure

MAX_GROWTH_BYTES = 10_000_000


def test_an_image_of_any_size_and_format_is_finalized_in_the_same_memory() -> None:
    growths = {}
    for image_format, peaks in groupby(measure(), lambda each: each.format):
        small, large = peaks
        assert small.size_bytes < 2 * SIZES_BYTES[0]
        assert large.size_bytes >= SIZES_BYTES[1]
        growths[image_format] = large.peak_bytes - small.peak_bytes
    assert {"jpeg", "png", "webp"} <= growths.keys()
    assert max(growths.values()) <= MAX_GROWTH_BYTES, growths
