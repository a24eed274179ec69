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
from packshot.events import DETAIL_TYPES
from packshot.image_store import ImageStore
from packshot.job import Job, JobState
from packshot.job_table import OWED_DUE, PhotoRow, Unmoved
from packshot.manifest import Manifest
from packshot.manifest_store import ManifestStore
from packshot.photo import Photo
from packshot.planning import NotAPhoto
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

    def move(table: FakeJobTable, job: Job, to: JobState, changes: Mapping[str, Any]) -> Job:
        owes_event = to in DETAIL_TYPES
        due_at = changes.get("due_at") or (table._now() + OWED_DUE if owes_event else None)
        moved = {**changes, "state": to, "due_at": due_at, "owes_event": owes_event}
        return change(table, job, {**moved, "queued": False, "uploaded_again": False})

    patch.setattr(FakeJobTable, "_change", change)
    patch.setattr(FakeJobTable, "_move", move)


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


def a_completion_that_asks_the_rows_alone(patch: Patch) -> None:
    honest = FakeJobTable._close

    def close(table: FakeJobTable, job: Job) -> PhotoRow | None:
        closed = honest(table, job)
        return closed and replace(closed, open_jobs=frozenset())

    patch.setattr(FakeJobTable, "_close", close)


def a_completion_that_asks_no_row(patch: Patch) -> None:
    patch.setattr(announcing, "ENDINGS", frozenset(JobState))


def a_completion_told_of_an_ending_before_the_photo_came_again(patch: Patch) -> None:
    def announce(announcer: Announcer, job: Job) -> Job:
        if not job.owes_event:
            return job
        announcer.tell(job)
        return announcer.table.settle(job)

    patch.setattr(Announcer, "announce", announce)


def a_completion_of_rows_that_are_a_newer_photos(patch: Patch) -> None:
    patch.setattr(announcing, "_are_of", lambda *_: True)


def one_id_for_all_completions_of_a_photo(patch: Patch) -> None:
    honest = events._id
    patch.setattr(events, "_id", lambda fact: honest(fact[:4] if fact[0] == "completed" else fact))


def completions_in_the_order_of_attempts_alone(patch: Patch) -> None:
    patch.setattr(events, "_order", lambda _, jobs, __: f"{sum(job.attempt for job in jobs):06}")


def a_manifest_put_without_a_condition(patch: Patch) -> None:
    def replace(store: ManifestStore, key: str, _: object, manifest: Manifest) -> bool:
        data = manifest.model_dump_json().encode()
        store.client.put_object(Bucket=store.bucket, Key=key, Body=data)
        return True

    patch.setattr(ManifestStore, "replace", replace)


def a_manifest_read_after_its_rows(patch: Patch) -> None:
    honest = ManifestStore.replace

    def replace(store: ManifestStore, key: str, _: object, manifest: Manifest) -> bool:
        standing = store.read(key)
        revision = standing.revision + 1 if standing else 1
        return honest(store, key, standing, manifest.model_copy(update={"revision": revision}))

    patch.setattr(ManifestStore, "replace", replace)


def a_manifest_of_an_older_photo(patch: Patch) -> None:
    honest = FakeJobTable._close

    def close(table: FakeJobTable, job: Job) -> PhotoRow | None:
        job_ids = table.uploads.get((job.photo.key, job.photo.sequencer), [])
        return honest(table, job) or PhotoRow(job.photo, tuple(job_ids), frozenset(job_ids))

    patch.setattr(FakeJobTable, "_close", close)


def an_upload_planned_again_with_the_scenes_of_today(patch: Patch) -> None:
    honest = FakeJobTable._plan

    def plan(table: FakeJobTable, photo: Photo, jobs: Any) -> Any:
        table.uploads.pop((photo.key, photo.sequencer), None)
        return honest(table, photo, jobs)

    patch.setattr(FakeJobTable, "_plan", plan)


def a_scene_that_nobody_is_sent_for(patch: Patch) -> None:
    def upload(submitter: Submitter, found: Photo) -> Job | NotAPhoto:
        planned = submitter.planner.plan(found)
        return submitter.job(planned[0]) if isinstance(planned, list) else planned

    patch.setattr(Submitter, "upload", upload)


def an_image_recorded_though_it_was_to_be_looked_at_again(patch: Patch) -> None:
    honest = FakeJobTable._look_again

    def look_again(table: FakeJobTable, photo: Photo) -> None:
        before = {job.job_id: job.order_version for job in table.jobs}
        honest(table, photo)
        for job in table.jobs:
            table.keep(job.model_copy(update={"order_version": before[job.job_id]}))

    patch.setattr(FakeJobTable, "_look_again", look_again)


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
    a_completion_that_asks_the_rows_alone,
    a_completion_that_asks_no_row,
    a_completion_told_of_an_ending_before_the_photo_came_again,
    a_completion_of_rows_that_are_a_newer_photos,
    one_id_for_all_completions_of_a_photo,
    completions_in_the_order_of_attempts_alone,
    a_manifest_put_without_a_condition,
    a_manifest_read_after_its_rows,
    a_manifest_of_an_older_photo,
    an_upload_planned_again_with_the_scenes_of_today,
    a_scene_that_nobody_is_sent_for,
    an_image_recorded_though_it_was_to_be_looked_at_again,
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
