"""The drill's pure parts: what is planned, what counts as a broken promise, and what is shown."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from packshot.job import Image, Job, JobState, ParkedCause
from packshot.photo import Photo
from packshot_cli.emulator.faults import RULES
from packshot_cli.emulator.painter import paint
from packshot_cli.errors import LocalCloudError
from tests.drill import __main__ as command
from tests.drill.conduct import Glance, struck
from tests.drill.display import outcome, progress
from tests.drill.evidence import Evidence, Sighting, Sightings, broken_promises, image_problem
from tests.drill.handlers import Handler, Killer, parsed
from tests.drill.plan import STATUS_FAULTS, SUBMIT_FAULTS, Plan, Upload, draw_plan

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAN = draw_plan(7, 3, 60.0)
UPLOAD = PLAN.uploads[0]
BODY = {
    "image_1": f"http://127.0.0.1:1/photos/{UPLOAD.key}",
    "prompt": "a table",
    "aspect_ratio": "1:1",
    "image_format": UPLOAD.image_format,
    "quality": 80,
}
REQUEST = {"request_id": "r1", "status": "COMPLETED", "seed": 5, "body": BODY}
METADATA = {"packshot-job-id": "j1"}


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "job_id": "j1",
        "state": JobState.COMPLETED,
        "photo": Photo(bucket="photos", key=UPLOAD.key, version_id=None, etag="e", sequencer="1", bytes=1),
        "scene": "default",
        "parameters": None,
        "image_key": "drill/default.webp",
        "created_at": NOW,
        "updated_at": NOW,
        "attempt": 2,
        "request_id": "r1",
        "seed": 5,
        "image": Image(
            bucket="images",
            key="drill/default.webp",
            version_id="v",
            bytes=1,
            content_type="image/webp",
            width=1,
            height=1,
        ),
    }
    return Job(**{**fields, **changes})


def event(detail_type: str = "Scene Generated", event_id: str = "f1", **detail: Any) -> dict[str, Any]:
    return {"detail-type": detail_type, "detail": {"id": event_id, "job_id": "j1", "attempt": 2, **detail}}


def way(*sightings: tuple[int, JobState, ParkedCause | None]) -> Sightings:
    return Sightings({"j1": [Sighting(*each) for each in sightings]})


PARKED = (1, JobState.PARKED, ParkedCause.CREDITS)
COMPLETED = (2, JobState.COMPLETED, None)
TOLD_PARKED = event("Scene Parked", "f0", attempt=1)
COMPLETED_DETAIL = {"id": "c1", "photo": {"key": UPLOAD.key}, "images": [{"version_id": "v"}]}
COMPLETION = {"detail-type": "Photo Completed", "detail": COMPLETED_DETAIL}
KEPT = Evidence(
    uploads=[UPLOAD],
    delivered_again=1,
    jobs=[job()],
    sightings=way(PARKED, COMPLETED),
    events=[TOLD_PARKED, event(), event()],
    completions=[COMPLETION, COMPLETION],
    requests=[REQUEST],
    faults={("submit", kind): 1 for kind in SUBMIT_FAULTS} | {("status", kind): 1 for kind in STATUS_FAULTS},
    calls={"submit": 20, "status": 20},
    killed={"SubmitFunction": 2},
    killed_at_work={"SubmitFunction": 1},
    errors_logged={"LeaseHeldError": 1},
    images={UPLOAD.key: None},
    dead_letters={"UploadDeadLetterQueue": 0},
    messages_left=0,
    executions={"SUCCEEDED": 1},
    left_running=(),
    seconds=12.0,
)


def without_fault(call: str, kind: str) -> dict[tuple[str, str], int]:
    return {**KEPT.faults, (call, kind): 0}


class TestPlan:
    def test_the_seed_decides_everything(self) -> None:
        assert draw_plan(7, 3, 60.0) == PLAN
        assert draw_plan(7, 3, 60.0).fault_rules() == PLAN.fault_rules()
        assert draw_plan(8, 3, 60.0).uploads != PLAN.uploads
        assert draw_plan(8, 3, 60.0).fault_rules() != PLAN.fault_rules()

    def test_no_two_photos_are_alike_and_all_come_within_the_storm(self) -> None:
        uploads = draw_plan(1, 60, 60.0).uploads

        assert len({upload.data for upload in uploads}) == len({upload.key for upload in uploads}) == 60
        assert [upload.at_seconds for upload in uploads] == sorted(upload.at_seconds for upload in uploads)
        assert uploads[-1].at_seconds < 210

    def test_credits_are_gone_for_the_time_that_was_asked_for(self) -> None:
        gone = [second for second in range(round(PLAN.storm_seconds)) if not PLAN.has_credits(second)]

        assert len(gone) == pytest.approx(60, abs=1)
        assert gone == list(range(gone[0], gone[-1] + 1))
        assert gone[0] > 0
        assert gone[-1] < PLAN.storm_seconds - 1

    @pytest.mark.parametrize(("call", "kinds"), [("submit", SUBMIT_FAULTS), ("status", STATUS_FAULTS)])
    def test_every_round_of_twenty_calls_meets_each_fault_once(self, call: str, kinds: Any) -> None:
        rules = [rule for rule in PLAN.fault_rules() if rule["call"] == call and "nth" in rule]
        rounds = Counter((rule["nth"] - 1) // 20 for rule in rules)

        assert len({rule["nth"] for rule in rules}) == len(rules)
        assert set(rounds.values()) == {len(kinds)}
        assert rules[: len(kinds)] != rules[len(kinds) : 2 * len(kinds)]

    def test_the_emulator_takes_the_rules(self) -> None:
        assert len(RULES.validate_python(PLAN.fault_rules())) == len(PLAN.fault_rules())


class TestHandlers:
    LISTING = """
  101   100 Ssl       01:02 /bin/python -m ministack
  102   100 S         00:07 /bin/python /tmp/x/ministack-lambda-packshot-SubmitFunction-1A2B-q_7/_worker.py
  103   100 R      02:00:01 /bin/python /tmp/x/ministack-lambda-packshot-CheckStatusFunction-9-z/_worker.py
  104   100 Z         00:03 /bin/python /tmp/x/ministack-lambda-packshot-SweepFunction-9-z/_worker.py
  105   999 R         00:03 /bin/python /tmp/y/ministack-lambda-packshot-SweepFunction-9-z/_worker.py
"""

    def test_they_are_told_from_everything_else_by_group_and_command(self) -> None:
        assert list(parsed(self.LISTING.strip("\n"), 100)) == [
            Handler(102, "SubmitFunction", 7, computes=False),
            Handler(103, "CheckStatusFunction", 7201, computes=True),
        ]

    def test_one_that_may_still_be_starting_is_left_alone(self) -> None:
        killer = Killer(100, (1.0, 2.0), random.Random(1))

        assert killer.at_work([Handler(1, "SubmitFunction", 9, computes=True)]) == []
        assert killer.at_work([Handler(1, "SubmitFunction", 1, computes=False)]) == []
        assert killer.at_work([Handler(1, "SubmitFunction", 1, computes=True)]) == []
        assert killer.at_work([Handler(1, "SubmitFunction", 5, computes=False)]) == []
        assert killer.at_work([Handler(1, "SubmitFunction", 6, computes=True)]) == [
            Handler(1, "SubmitFunction", 6, computes=True)
        ]


class TestPromises:
    def test_kept(self) -> None:
        assert broken_promises(KEPT) == []

    @pytest.mark.parametrize(
        ("broken", "words"),
        [
            (replace(KEPT, jobs=[]), "has 0 jobs"),
            (replace(KEPT, jobs=[job(), job(job_id="j2")]), "has 2 jobs"),
            (replace(KEPT, jobs=[job(state=JobState.FAILED)]), "is FAILED"),
            (replace(KEPT, dead_letters={"UploadDeadLetterQueue": 1}), "1 in UploadDeadLetterQueue"),
            (replace(KEPT, requests=[REQUEST, REQUEST]), "2 requests for drill/"),
            (
                replace(KEPT, requests=[REQUEST] * 9, jobs=[job(lost_answers=8)]),
                "9 requests for 1 jobs and 4 ambiguous",
            ),
            (replace(KEPT, jobs=[job(lost_answers=5)]), "the jobs count 5 ambiguous answers, of 4"),
            (replace(KEPT, images={}), "there is none"),
            (replace(KEPT, images={UPLOAD.key: "it is png"}), "it is png"),
            (replace(KEPT, events=[TOLD_PARKED]), "is COMPLETED, and no event says so"),
            (replace(KEPT, events=[event()]), "attempt 1 of j1 was PARKED, and no event"),
            (replace(KEPT, events=[*KEPT.events, event(event_id="f2")]), "came as 2 facts"),
            (replace(KEPT, events=[*KEPT.events, event(attempt=3)]), "one id for 2 facts"),
            (replace(KEPT, completions=[]), "completed under 0 ids"),
            (
                replace(KEPT, completions=[COMPLETION, {"detail": {**COMPLETED_DETAIL, "id": "c2"}}]),
                "completed under 2 ids",
            ),
            (
                replace(KEPT, completions=[{"detail": {**COMPLETED_DETAIL, "images": []}}]),
                "completed with []",
            ),
            (replace(KEPT, sightings=way(PARKED, COMPLETED, PARKED)), "was COMPLETED and then PARKED"),
            (
                replace(KEPT, sightings=way((3, JobState.SUBMITTED, None), PARKED, COMPLETED)),
                "back from attempt 3 to 1",
            ),
            (replace(KEPT, jobs=[job(owes_event=True)]), "the sweep still finds it"),
            (replace(KEPT, jobs=[job(due_at=NOW)]), "the sweep still finds it"),
            (replace(KEPT, executions={"RUNNING": 1}), "1 executions run on"),
            (replace(KEPT, messages_left=2), "2 messages in the upload queue"),
            (replace(KEPT, left_running=["MiniStack"]), "MiniStack runs on"),
            (replace(KEPT, faults=without_fault("submit", "lost")), "submit met no lost"),
            (replace(KEPT, faults=without_fault("status", "429")), "status met no 429"),
            (replace(KEPT, delivered_again=0), "only 0 of 1 events came twice"),
            (replace(KEPT, killed_at_work={}), "no handler was killed at work"),
            (replace(KEPT, sightings=way(COMPLETED)), "no job waited for credits"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_broken(self, broken: Evidence, words: str) -> None:
        assert [line for line in broken_promises(broken) if words in line]


@cache
def painted(upload: Upload = UPLOAD, image_format: str = UPLOAD.image_format) -> bytes:
    return paint(
        upload.data, prompt="a table", aspect_ratio="1:1", image_format=image_format, quality=80, seed=5
    )


class TestImages:
    def test_the_right_one(self) -> None:
        assert image_problem(UPLOAD, job(), REQUEST, painted(), METADATA) is None

    def test_that_of_another_photo(self) -> None:
        image = painted(PLAN.uploads[1])

        assert image_problem(UPLOAD, job(), REQUEST, image, METADATA) == "it does not show this photo"

    def test_another_format(self) -> None:
        other = "png" if UPLOAD.image_format == "jpeg" else "jpeg"
        problem = image_problem(UPLOAD, job(), REQUEST, painted(image_format=other), METADATA)

        assert problem == f"it is {other} and not {UPLOAD.image_format}"

    @pytest.mark.parametrize("keep", [0, 0.5])
    def test_a_broken_one(self, keep: float) -> None:
        image = painted()
        broken = image[: int(len(image) * keep)]

        assert "decoded" in (image_problem(UPLOAD, job(), REQUEST, broken, METADATA) or "")

    def test_another_jobs(self) -> None:
        assert "names the job" in (image_problem(UPLOAD, job(job_id="j2"), REQUEST, b"", METADATA) or "")

    def test_one_of_no_known_request_or_of_another_seed(self) -> None:
        assert "no request r1" in (image_problem(UPLOAD, job(), None, b"", METADATA) or "")
        assert "seed 5" in (image_problem(UPLOAD, job(seed=6), REQUEST, b"", METADATA) or "")


class TestSightings:
    def test_only_changes_are_kept(self) -> None:
        seen = Sightings()
        for state in (JobState.PLANNED, JobState.PLANNED, JobState.COMPLETED):
            seen.note([job(state=state)])

        assert [sighting.state for sighting in seen.ways["j1"]] == [JobState.PLANNED, JobState.COMPLETED]
        assert {fact.state for fact in seen.facts()} == {JobState.COMPLETED}


def test_faults_are_counted_by_call_and_kind() -> None:
    report = [
        {"call": "submit", "effect": {"kind": "answer", "status": 502}, "seen": 9, "struck": 1},
        {"call": "submit", "effect": {"kind": "answer", "status": 502}, "seen": 9, "struck": 2},
        {"call": "status", "effect": {"kind": "reset"}, "seen": 9, "struck": 3},
    ]

    assert struck(report) == {("submit", "502"): 3, ("status", "reset"): 3}


def printed(show: Callable[[Console], None]) -> str:
    said = io.StringIO()
    console = Console(file=said, width=160)
    show(console)
    return said.getvalue()


def test_the_table_tells_all() -> None:
    rows = printed(lambda console: console.print(outcome(PLAN, KEPT))).splitlines()

    told = {row[:23].strip(): row[23:].split() for row in rows}
    assert told["seed"][0] == "7"
    assert told["faults of submit calls"][:3] == ["5", "of", "20"]
    assert told["images right"] == ["1", "of", "1"]
    assert told["handlers killed"][:2] == ["2", "1"]
    assert told["requests paid"] == ["1", "of", "1", "accepted"]
    assert told["ambiguous answers"][0] == "4"


def test_without_a_terminal_there_is_a_line_now_and_then_and_at_each_change_of_the_weather() -> None:
    def show(console: Console) -> None:
        with progress(console, Plan(7, PLAN.uploads, 60.0)) as tell:
            for second, weather in ((0, "storm"), (1, "storm"), (2, "calm"), (3, "calm"), (17, "calm")):
                tell(Glance(second, weather, 1, Counter(COMPLETED=1), 4, 2))

    lines = printed(show).splitlines()
    assert [line.split()[0] for line in lines] == ["0", "2", "17"]
    assert "1 COMPLETED" in lines[0]


class TestCommand:
    @staticmethod
    def run(monkeypatch: pytest.MonkeyPatch, ending: Evidence | Exception) -> Result:
        def drill(plan: Plan, **_: object) -> Evidence:
            assert (plan.seed, len(plan.uploads), plan.without_credits_seconds) == (7, 3, 60.0)
            if isinstance(ending, Exception):
                raise ending
            return ending

        monkeypatch.setattr(command, "drill", drill)
        app = typer.Typer()
        app.command()(command.main)
        return CliRunner().invoke(app, ["--seed", "7", "--photos", "3"])

    def test_kept_promises_end_well(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ended = self.run(monkeypatch, KEPT)

        assert ended.exit_code == 0
        assert "Drill with seed 7" in ended.output
        assert "Every promise was kept" in ended.output

    def test_a_broken_one_is_told_in_a_line_with_the_seed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ended = self.run(monkeypatch, replace(KEPT, messages_left=2))

        assert ended.exit_code == 1
        assert "\nunfinished: 2 messages in the upload queue\n" in ended.output
        assert "SEED=7" in ended.output

    def test_a_cloud_that_breaks_down_is_told_in_a_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ended = self.run(monkeypatch, LocalCloudError("MiniStack ended"))

        assert ended.exit_code == 1
        assert "cut short (seed 7): MiniStack ended" in ended.output
