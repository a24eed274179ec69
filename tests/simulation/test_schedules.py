"""Schedules that are played every time: a calm one, and the shortest ones that once broke a promise."""

from __future__ import annotations

import pytest

from tests.simulation.processes import Fate
from tests.simulation.schedules import Kind, Step, play

UPLOADED, DELIVERED = Step(Kind.UPLOAD), Step(Kind.RECEIVE)
MADE, CHECKED, FINALIZED = Step(Kind.FINISH), Step(Kind.EXECUTE), Step(Kind.EXECUTE)
RESUMED = Step(Kind.RESUME)
ANOTHER_UPLOADED = Step(Kind.UPLOAD, calls=1)
AN_EVENT_IS_REFUSED = Step(Kind.BUS, 1)
A_IS_PUBLISHED = [DELIVERED, MADE, CHECKED, FINALIZED]


def delivered(calls: int, fate: Fate) -> Step:
    return Step(Kind.RECEIVE, calls=calls, fate=fate)


def finalized(calls: int, fate: Fate) -> Step:
    return Step(Kind.EXECUTE, calls=calls, fate=fate)


@pytest.mark.parametrize("versioned", [True, False])
def test_where_nothing_goes_wrong_each_photo_comes_to_its_images_and_is_complete(*, versioned: bool) -> None:
    """So that the promises are not kept by a world in which nothing ever happens."""
    cloud = play([DELIVERED, Step(Kind.SCENES, 1), ANOTHER_UPLOADED, DELIVERED], versioned=versioned)
    assert sorted(cloud.bus.told) == ["Photo Completed", *["Scene Generated"] * 3]
    made = {key: len(versions) for key, versions in cloud.images_made.items()}
    assert made == {"shoes/red/default.webp": 2, "shoes/red/beach.webp": 1}
    assert cloud.manifest("shoes/red/manifest.json").scenes.keys() == {"default", "beach"}


_BEFORE_B_IS_PUT = [*A_IS_PUBLISHED, ANOTHER_UPLOADED, DELIVERED, MADE, CHECKED, finalized(5, Fate.PAUSE)]
FOUND = {
    # A is superseded, and nobody told of it; A comes again, and that is not its ending.
    "an ending from before the photo came again": [
        *[DELIVERED, ANOTHER_UPLOADED, DELIVERED, MADE, MADE],
        *[
            Step(Kind.EXECUTE, 1),
            Step(Kind.EXECUTE, 1),
            CHECKED,
            finalized(8, Fate.KILL),
            UPLOADED,
            DELIVERED,
        ],
    ],
    # A's image is put again, and then B's over it: its writer has seen the same bytes, and S3 cannot tell. So
    # A is to be looked at again; and that is asked for before A is recorded, or before that is settled.
    "a look again before the record": [*_BEFORE_B_IS_PUT, UPLOADED, delivered(11, Fate.PAUSE)],
    "a look again before it is settled": [
        *_BEFORE_B_IS_PUT,
        *[UPLOADED, delivered(15, Fate.PAUSE), RESUMED],
    ],
    # Two workers make A's image the current one at once, and each records the version that it has put.
    "two versions of one image": [
        *[*A_IS_PUBLISHED, UPLOADED, delivered(10, Fate.PAUSE), Step(Kind.REPEAT, 1)],
        *[delivered(12, Fate.PAUSE), RESUMED, RESUMED],
    ],
    # A's image is made the current one, and nobody can be told; who looked before makes another one of it.
    "a record that was not told of yet": [
        *[*A_IS_PUBLISHED, UPLOADED, delivered(6, Fate.PAUSE), UPLOADED],
        *[AN_EVENT_IS_REFUSED, DELIVERED, UPLOADED, delivered(5, Fate.KILL), RESUMED],
    ],
    # A is closed, and A comes again before its rows are read: they tell of the image of that upload.
    "rows that tell of a newer upload": [
        *[DELIVERED, MADE, CHECKED, finalized(11, Fate.PAUSE), UPLOADED, delivered(15, Fate.PAUSE), RESUMED],
    ],
}


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("schedule", FOUND.values(), ids=FOUND.keys())
def test_a_schedule_that_broke_a_promise_breaks_none(schedule: list[Step], *, versioned: bool) -> None:
    play(schedule, versioned=versioned)
