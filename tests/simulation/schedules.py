"""Schedules: what happens, in which order, and who is disturbed where. Each is a list of plain steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TypeVar

from hypothesis import strategies as st

from tests.simulation.cloud import CONTENTS, KEYS, SCENES_FILES, Cloud
from tests.simulation.processes import Fate
from tests.simulation.segmind_ledger import DOWNLOADS, GET_WEATHERS, POST_WEATHERS

Item = TypeVar("Item")

# Processes that run at once.
MAX_PROCESSES = 4
# Rounds of the quiet world until whoever is not at an end never will be; a request that hangs takes 400.
MAX_ROUNDS = 4000
PAUSES_SECONDS = (1, 15, 50, 70, 100, 400, 1000, 3600)


class Kind(Enum):
    """What a step does, if there is anything to do it with."""

    UPLOAD = "upload"
    RECEIVE = "receive"
    WAIT = "wait"
    EXECUTE = "execute"
    FINISH = "finish"
    RESUME = "resume"
    SWEEP = "sweep"
    PAUSE = "pause"
    REPEAT = "repeat"
    DELETE = "delete"
    POSTS = "posts"
    GETS = "gets"
    DOWNLOADS = "downloads"
    BUS = "bus"
    LOSE = "lose"
    SCENES = "scenes"
    REDRIVE = "redrive"


@dataclass(frozen=True)
class Step:
    """One step: `which` of its kind, counted round; `calls` a process makes before it meets its fate."""

    kind: Kind
    which: int = 0
    calls: int = 0
    fate: Fate = Fate.RUN


# How often each kind comes, of those that every schedule has.
_ALWAYS = {
    Kind.UPLOAD: 6,
    Kind.RECEIVE: 10,
    Kind.WAIT: 8,
    Kind.EXECUTE: 8,
    Kind.FINISH: 4,
    Kind.RESUME: 4,
    Kind.REPEAT: 2,
}
# Of those that some schedules have: one with few kinds goes deeper into what these can do.
_SOMETIMES = {
    Kind.SWEEP: 4,
    Kind.PAUSE: 2,
    Kind.DELETE: 1,
    Kind.POSTS: 3,
    Kind.GETS: 1,
    Kind.DOWNLOADS: 1,
    Kind.BUS: 2,
    Kind.LOSE: 2,
    Kind.SCENES: 2,
    Kind.REDRIVE: 2,
}
_FATES = [Fate.RUN] * 5 + [Fate.PAUSE] * 5 + [fate for fate in Fate if fate not in {Fate.RUN, Fate.PAUSE}]


def _schedules(kinds: frozenset[Kind]) -> st.SearchStrategy[list[Step]]:
    weights = {**_ALWAYS, **{kind: weight for kind, weight in _SOMETIMES.items() if kind in kinds}}
    step = st.builds(
        Step,
        st.sampled_from([kind for kind, weight in weights.items() for _ in range(weight)]),
        st.integers(0, 15),
        # What an ending leaves to be told makes its calls many; most of what matters is near the beginning.
        st.integers(0, 9) | st.integers(0, 18),
        st.sampled_from(_FATES),
    )
    # Long ones and short ones: a failure in a long one shrinks to a short one.
    return st.lists(step, max_size=80) | st.lists(step, min_size=30, max_size=80)


# Where a schedule begins, after A was uploaded: chance alone seldom brings two photos so close together.
_BOTH_IN_FLIGHT = [Step(Kind.RECEIVE), Step(Kind.UPLOAD, calls=1), Step(Kind.RECEIVE)]
_MADE = [*_BOTH_IN_FLIGHT, Step(Kind.FINISH), Step(Kind.FINISH)]
_BEFORE_ITS_IMAGE = [*_MADE, Step(Kind.EXECUTE), Step(Kind.EXECUTE, calls=5, fate=Fate.PAUSE)]
_BEFORE_ITS_RECORD = [
    *_MADE,
    *[Step(Kind.EXECUTE, 1)] * 2,
    Step(Kind.EXECUTE),
    Step(Kind.EXECUTE, calls=6, fate=Fate.PAUSE),
]
_NEVER_SENT = [Step(Kind.RECEIVE, calls=5, fate=Fate.KILL), Step(Kind.UPLOAD, calls=1), Step(Kind.RECEIVE)]
_SENT_TOO_LATE = [*_NEVER_SENT, Step(Kind.PAUSE, 5), Step(Kind.RECEIVE)]
_LOST = [Step(Kind.POSTS, 1), *[Step(Kind.RECEIVE), Step(Kind.WAIT)] * 2]
_LOST_AND_UNTOLD = [*_LOST, Step(Kind.RECEIVE, calls=8, fate=Fate.KILL)]
# The same photo comes again: before its rows are read for its manifest; and an older image covers its own.
_PUBLISHED = [Step(Kind.RECEIVE), Step(Kind.FINISH), Step(Kind.EXECUTE)]
_TAKEN_OVER = [
    *_PUBLISHED,
    Step(Kind.EXECUTE, calls=11, fate=Fate.PAUSE),
    Step(Kind.UPLOAD),
    Step(Kind.RECEIVE, calls=15, fate=Fate.PAUSE),
]
_COVERED = [
    *_PUBLISHED,
    Step(Kind.EXECUTE),
    Step(Kind.UPLOAD, calls=1),
    *_PUBLISHED,
    Step(Kind.EXECUTE, calls=5, fate=Fate.PAUSE),
    Step(Kind.UPLOAD),
    Step(Kind.RECEIVE, calls=11, fate=Fate.PAUSE),
]
# Two scenes: both in flight, one of them ended, the other's ending not told yet.
_TWO_SCENES = [Step(Kind.SCENES, 1), *[Step(Kind.RECEIVE)] * 2, *[Step(Kind.FINISH)] * 2]
_ONE_ENDED = [*_TWO_SCENES, *[Step(Kind.EXECUTE)] * 2]
_BOTH_ENDED = [*_ONE_ENDED, *[Step(Kind.EXECUTE)] * 2]
_UNTOLD = [*_ONE_ENDED, Step(Kind.EXECUTE), Step(Kind.EXECUTE, calls=9, fate=Fate.PAUSE)]
_OTHER_SCENES = [*_ONE_ENDED, Step(Kind.SCENES, 3), Step(Kind.UPLOAD), Step(Kind.RECEIVE)]
_AGAIN = [Step(Kind.UPLOAD), Step(Kind.REPEAT, 2)]
_ONCE = [
    [],
    _BOTH_IN_FLIGHT,
    _MADE,
    _NEVER_SENT,
    _BEFORE_ITS_IMAGE,
    _LOST,
    _LOST_AND_UNTOLD,
    _TWO_SCENES,
    _OTHER_SCENES,
    _TAKEN_OVER,
    _COVERED,
]
_TWICE = [_BOTH_IN_FLIGHT, _MADE, _SENT_TOO_LATE, _BEFORE_ITS_IMAGE, _BEFORE_ITS_RECORD, _BOTH_ENDED, _UNTOLD]
_OPENINGS = [*_ONCE, *([*opening, *_AGAIN] for opening in _TWICE)]


schedules = st.builds(
    lambda opening, rest: [*opening, *rest],
    st.sampled_from(_OPENINGS),
    st.frozensets(st.sampled_from(list(_SOMETIMES))).flatmap(_schedules),
)


class BrokenPromiseError(AssertionError):
    """The schedule led to something that must not be."""


def play(
    schedule: Sequence[Step], *, versioned: bool, sabotage: Callable[[Cloud], None] | None = None
) -> Cloud:
    """Play one schedule until the world is quiet. Raises BrokenPromiseError with the story of it."""
    cloud = Cloud(versioned=versioned)
    if sabotage:
        sabotage(cloud)
    try:
        cloud.upload(KEYS[0], CONTENTS[0])
        for step in schedule:
            take(step, cloud)
            _check(cloud, list(cloud.watch.at_any_moment()))
        cloud.calm()
        rounds = 0
        while cloud.round():
            rounds += 1
            _check(cloud, cloud.watch.broken if rounds < MAX_ROUNDS else ["it never gets quiet"])
        _check(cloud, list(cloud.watch.when_quiet()))
    finally:
        cloud.stop()
    return cloud


def _check(cloud: Cloud, broken: list[str]) -> None:
    if broken:
        raise BrokenPromiseError("\n".join(["", *cloud.story[-200:], "", *broken]))


def _pick(items: Sequence[Item], which: int) -> list[Item]:
    """One of them, or none where there are none."""
    return [items[which % len(items)]] if items else []


def take(step: Step, cloud: Cloud) -> None:  # noqa: PLR0912 a table of kinds
    """One step of a schedule; nothing happens where there is nothing to do it with."""
    which, calls, fate = step.which, step.calls, step.fate
    crowded = len(cloud.processes) >= MAX_PROCESSES
    match step.kind:
        case Kind.UPLOAD:
            # Mostly under one key, so that photos meet.
            key = KEYS[max(0, which - 13)]
            cloud.upload(key, CONTENTS[calls % len(CONTENTS)])
        case Kind.RECEIVE if not crowded:
            for message in _pick(cloud.visible, which):
                cloud.receive(message, calls, fate)
        case Kind.EXECUTE if not crowded:
            for execution in _pick(cloud.due_executions or cloud.waiting_executions, which):
                cloud.pass_to(max(cloud.clock(), execution.due_at))
                cloud.execute(execution, calls, fate)
        case Kind.REDRIVE if not crowded:
            for job in _pick(cloud.redrivable, which):
                cloud.redrive(job, calls, fate)
        case Kind.SWEEP if not crowded:
            cloud.sweep(calls, fate)
        case Kind.RESUME:
            for process in _pick(cloud.processes, which):
                cloud.resume(process, calls, fate)
        case Kind.WAIT:
            moment = cloud.next_moment()
            if moment:
                cloud.pass_to(moment)
            if cloud.due_rows:
                cloud.sweep()
        case Kind.PAUSE:
            for seconds in _pick(PAUSES_SECONDS, which):
                cloud.pass_to(cloud.clock() + timedelta(seconds=seconds))
        case Kind.FINISH:
            for request in _pick(cloud.in_flight, which):
                if (which, calls) == (0, 9):
                    request.hangs = True
                else:
                    cloud.finish(request, "FAILED" if calls == 8 else "COMPLETED")
        case Kind.REPEAT:
            for photo in _pick(cloud.told_uploads, which):
                cloud.tell_of(photo)
        case Kind.DELETE:
            for photo in _pick(cloud.input.uploads, which):
                cloud.delete(photo)
        case Kind.SCENES:
            cloud.write_scenes(SCENES_FILES[which % len(SCENES_FILES)])
        case Kind.LOSE:
            for execution in _pick(cloud.executions, which):
                cloud.lose(execution, reported=calls % 2 == 0)
        case Kind.POSTS:
            cloud.ledger.post_weather = POST_WEATHERS[which % len(POST_WEATHERS)]
            cloud.tell(f"POST: {cloud.ledger.post_weather.name}")
        case Kind.GETS:
            cloud.ledger.get_weather = GET_WEATHERS[which % len(GET_WEATHERS)]
            cloud.tell(f"GET: {cloud.ledger.get_weather.name}")
        case Kind.DOWNLOADS:
            cloud.downloads.weather[0] = DOWNLOADS[which % len(DOWNLOADS)]
            cloud.tell(f"downloads: {cloud.downloads.weather[0]}")
        case Kind.BUS:
            cloud.bus.refusals += which % 4
