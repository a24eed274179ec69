"""The simulation can fail: each of these mistakes breaks a promise, and a schedule is found that shows it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import hypothesis
import pytest
from hypothesis import Phase
from hypothesis import strategies as st

from packshot import announcing, events, image_store
from packshot import segmind_answers as answers
from packshot.announcing import Announcer
from packshot.image_store import ImageStore
from packshot.job import Job, JobState
from packshot.job_table import PhotoRow, Unmoved
from packshot.manifest import Manifest
from packshot.manifest_store import ManifestStore
from packshot.photo import Photo
from packshot.submitting import Submitter
from packshot.sweeping import Sweeper
from tests.simulation.schedules import BrokenPromiseError, Step, play, schedules
from tests.unit.fakes import FakeJobTable, FakeSegmind

# So many schedules a mistake may stay hidden in.
PATIENCE = 3000
Patch = pytest.MonkeyPatch


def a_claim_that_takes_what_is_claimed(patch: Patch) -> None:
    honest = FakeJobTable._claim

    def claim(table: FakeJobTable, job_id: str) -> Job | Unmoved:
        standing = table._standing(job_id)
        return standing if standing and standing.state is JobState.CLAIMED else honest(table, job_id)

    patch.setattr(FakeJobTable, "_claim", claim)


def a_post_before_the_claim(patch: Patch) -> None:
    honest = Submitter.job

    def job(submitter: Submitter, job_id: str) -> Job:
        standing = submitter.table.get(job_id)
        if standing and standing.state is JobState.PLANNED and standing.parameters and not standing.attempt:
            submitter.segmind.submit(
                standing.parameters.request("https://photos.example", standing.seed or 0)
            )
        return honest(submitter, job_id)

    patch.setattr(Submitter, "job", job)


def a_write_without_its_condition(patch: Patch) -> None:
    def change(table: FakeJobTable, job: Job, changes: Mapping[str, Any]) -> Job:
        return table.keep((table._standing(job.job_id) or job).model_copy(update=dict(changes)))

    patch.setattr(FakeJobTable, "_change", change)


def a_lost_answer_that_is_not_counted(patch: Patch) -> None:
    honest = Submitter._move

    def move(submitter: Submitter, job: Job, to: JobState, **changes: Any) -> Job:
        return honest(submitter, job, to, **{**changes, "lost_answers": 0})

    patch.setattr(Submitter, "_move", move)


def a_lost_answer_that_is_taken_for_a_no(patch: Patch) -> None:
    honest = FakeSegmind.submit

    def submit(segmind: FakeSegmind, request: Any) -> answers.SubmitOutcome:
        outcome = honest(segmind, request)
        return answers.NotAccepted("") if isinstance(outcome, answers.AnswerLost) else outcome

    patch.setattr(FakeSegmind, "submit", submit)


def an_event_noted_before_it_is_told(patch: Patch) -> None:
    def announce(announcer: Announcer, job: Job) -> Job:
        if not job.owes_event:
            return job
        settled = announcer.table.settle(job)
        announcer.tell(job)
        return settled

    patch.setattr(Announcer, "announce", announce)


def a_state_that_owes_no_event(patch: Patch) -> None:
    honest = FakeJobTable._move

    def move(table: FakeJobTable, job: Job, to: JobState, changes: Mapping[str, Any]) -> Job | Unmoved:
        moved = honest(table, job, to, changes)
        return (
            moved
            if isinstance(moved, Unmoved)
            else table.keep(moved.model_copy(update={"owes_event": False}))
        )

    patch.setattr(FakeJobTable, "_move", move)


def one_id_for_all_attempts(patch: Patch) -> None:
    honest = events._event_id
    patch.setattr(events, "_event_id", lambda job: honest(job.model_copy(update={"attempt": 1})))


def another_id_each_time(patch: Patch) -> None:
    patch.setattr(events, "_event_id", lambda _: secrets.token_hex(16))


def an_image_that_knows_no_order(patch: Patch) -> None:
    patch.setattr(image_store, "comparable_sequencer", lambda _: "")


def an_image_put_without_a_condition(patch: Patch) -> None:
    honest = ImageStore._put

    def put(images: ImageStore, key: str, job: Job, file: Any, picture: Any, **_: Any) -> Any:
        return honest(images, key, job, file, picture)

    patch.setattr(ImageStore, "_put", put)


def sequencers_as_plain_text(patch: Patch) -> None:
    patch.setattr(image_store, "comparable_sequencer", lambda sequencer: sequencer[::-1])


def a_photo_sent_though_it_is_older(patch: Patch) -> None:
    patch.setattr(FakeJobTable, "is_newest", lambda *_: True)


def a_photo_that_comes_again_for_nothing(patch: Patch) -> None:
    patch.setattr(Submitter, "_asked_again", lambda _, job: job)


def an_order_of_photos_that_is_not_looked_at_again(patch: Patch) -> None:
    patch.setattr("tests.unit.fakes.BY_ORDER", frozenset())


def an_upload_that_moves_its_job_back(patch: Patch) -> None:
    honest = FakeJobTable._plan

    def plan(table: FakeJobTable, photo: Photo, jobs: Any) -> Any:
        planned = honest(table, photo, jobs)
        for job in jobs:
            standing = table._standing(job.job_id)
            if standing and standing.state is JobState.FAILED:
                table.keep(job)
        return planned

    patch.setattr(FakeJobTable, "_plan", plan)


def an_execution_that_nobody_follows(patch: Patch) -> None:
    def wait_for(submitter: Submitter, job: Job) -> None:
        submitter.workflow.start(job)

    patch.setattr(Submitter, "_wait_for", wait_for)


def a_sweep_that_knows_no_causes(patch: Patch) -> None:
    def sweep(sweeper: Sweeper) -> int:
        return sweeper._queue(sweeper.table.due(None, 100))

    patch.setattr(Sweeper, "sweep", sweep)


def a_claim_without_a_due_time(patch: Patch) -> None:
    honest = FakeJobTable._claim

    def claim(table: FakeJobTable, job_id: str) -> Job | Unmoved:
        claimed = honest(table, job_id)
        return (
            table.keep(claimed.model_copy(update={"due_at": None})) if isinstance(claimed, Job) else claimed
        )

    patch.setattr(FakeJobTable, "_claim", claim)


def a_completion_before_the_ending_is_written(patch: Patch) -> None:
    patch.setattr(announcing, "ENDINGS", frozenset(JobState))


def a_job_that_stays_open(patch: Patch) -> None:
    honest = FakeJobTable._close

    def close(table: FakeJobTable, job: Job) -> PhotoRow | None:
        row = honest(table, job)
        return row and replace(row, open_jobs=row.open_jobs | {job.job_id})

    patch.setattr(FakeJobTable, "_close", close)


def a_manifest_of_an_older_photo(patch: Patch) -> None:
    honest = FakeJobTable._close

    def close(table: FakeJobTable, job: Job) -> PhotoRow | None:
        return honest(table, job) or PhotoRow(job.photo, (job.job_id,), frozenset())

    patch.setattr(FakeJobTable, "_close", close)


def a_manifest_put_without_its_condition(patch: Patch) -> None:
    honest = ManifestStore.replace

    def put(store: ManifestStore, key: str, standing: Any, manifest: Manifest) -> bool:
        return honest(store, key, standing, manifest) or honest(store, key, store.read(key), manifest)

    patch.setattr(ManifestStore, "replace", put)


def a_photo_told_of_after_the_job_is_settled(patch: Patch) -> None:
    def announce(announcer: Announcer, job: Job) -> Job:
        if not job.owes_event:
            return job
        announcer.bus.announce(job)
        settled = announcer.table.settle(job)
        announcer.tell(job)
        return settled

    patch.setattr(Announcer, "announce", announce)


def an_upload_that_is_planned_again(patch: Patch) -> None:
    honest = FakeJobTable._plan

    def plan(table: FakeJobTable, photo: Photo, jobs: Any) -> Any:
        table.uploads.pop((photo.key, photo.sequencer), None)
        return honest(table, photo, jobs)

    patch.setattr(FakeJobTable, "_plan", plan)


MISTAKES = [
    a_claim_that_takes_what_is_claimed,
    a_post_before_the_claim,
    a_write_without_its_condition,
    a_lost_answer_that_is_not_counted,
    a_lost_answer_that_is_taken_for_a_no,
    an_event_noted_before_it_is_told,
    a_state_that_owes_no_event,
    one_id_for_all_attempts,
    another_id_each_time,
    an_image_that_knows_no_order,
    an_image_put_without_a_condition,
    sequencers_as_plain_text,
    a_photo_sent_though_it_is_older,
    a_photo_that_comes_again_for_nothing,
    an_order_of_photos_that_is_not_looked_at_again,
    an_upload_that_moves_its_job_back,
    an_execution_that_nobody_follows,
    a_sweep_that_knows_no_causes,
    a_claim_without_a_due_time,
    a_completion_before_the_ending_is_written,
    a_job_that_stays_open,
    a_manifest_of_an_older_photo,
    a_manifest_put_without_its_condition,
    a_photo_told_of_after_the_job_is_settled,
    an_upload_that_is_planned_again,
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_is_found(
    mistake: Callable[[Patch], None], monkeypatch: Patch, record_property: Callable[[str, object], None]
) -> None:
    mistake(monkeypatch)
    played: list[str] = []

    def breaks(drawn: tuple[list[Step], bool]) -> bool:
        schedule, versioned = drawn
        try:
            play(schedule, versioned=versioned)
        except BrokenPromiseError as error:
            played.append(str(error).splitlines()[-1])
            return True
        played.append("")
        return False

    schedule, versioned = hypothesis.find(
        st.tuples(schedules, st.booleans()),
        breaks,
        settings=hypothesis.settings(
            max_examples=PATIENCE,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
        random=Random(1),
    )
    monkeypatch.undo()
    play(schedule, versioned=versioned)
    found = next(number for number, broken in enumerate(played, 1) if broken)
    record_property("simulation", f"{mistake.__name__}: found in schedule {found}: {played[found - 1]}")
