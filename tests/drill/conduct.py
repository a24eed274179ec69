"""A drill from its beginning to its end: the storm, the calm after it, and what there is to see then."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from packshot.events import COMPLETED
from packshot.job import Image, Job
from packshot_cli.local_cloud import LocalCloud, local_cloud
from packshot_cli.processes import Process
from tests.drill.evidence import Event, Evidence, Sightings, fact_of
from tests.drill.handlers import Killer, any_alive
from tests.drill.plan import KILL_EVERY_SECONDS, Plan
from tests.drill.stage import Stage
from tests.emulator_server import RunningEmulator

LOOK_EVERY_SECONDS = 0.25
# These cost more to look at.
END_EVERY_SECONDS = 2.0
EMULATED_SECONDS = 4.0
# Waits of the workflow, in proportion to the emulated model's time: the real one takes 20.3 s.
WAIT_SCALE = 0.2
CREDITS_USD = 1000.0
PARAMETERS = {
    # The rate is not what is drilled; a plan with more submits at once would only crowd a small machine.
    "SegmindPlan": "business",
    # At the default of three, now and then a job would rightly wait for a person.
    "MaxSubmitsPerJob": "8",
    "SceneQuality": "80",
}


@dataclass(frozen=True)
class Glance:
    """How it stands, for those who wait."""

    elapsed_seconds: float
    weather: str
    uploaded: int
    jobs: Counter[str]
    events: int
    killed: int


def drill(
    plan: Plan,
    *,
    patience_seconds: float,
    held_seconds: int | None,
    tell: Callable[[str], None],
    show: Callable[[Glance], None],
) -> Evidence:
    """Run a drill in a local cloud of its own, until all is at its end or patience after the storm is.

    `held_seconds` replaces the upload queue's visibility time-out. Raises LocalCloudError and what boto3
    raises.
    """
    started_at = time.monotonic()
    with local_cloud(
        wait_scale=WAIT_SCALE, emulator_seconds=EMULATED_SECONDS, parameters=PARAMETERS, tell=tell
    ) as cloud:
        stage = Stage(cloud)
        if held_seconds is not None:
            stage.hold_messages_for(held_seconds)
        conductor = _Conductor(plan, cloud, stage, RunningEmulator(cloud.segmind_url), show)
        try:
            conductor.run(patience_seconds)
            evidence = conductor.evidence()
        finally:
            conductor.checker.shutdown(cancel_futures=True)
    return replace(
        evidence,
        left_running=[process.name for process in cloud.processes if _runs(process)],
        seconds=time.monotonic() - started_at,
    )


@dataclass
class _Conductor:
    plan: Plan
    cloud: LocalCloud
    stage: Stage
    emulator: RunningEmulator
    show: Callable[[Glance], None]
    jobs: list[Job] = field(default_factory=list)
    sightings: Sightings = field(default_factory=Sightings)
    events: list[Event] = field(default_factory=list)
    completions: list[Event] = field(default_factory=list)
    # Upload events that are to be delivered again, with the time for it.
    again: list[tuple[float, str]] = field(default_factory=list)
    delivered_again: int = 0
    uploaded: int = 0
    faults: Mapping[tuple[str, str], int] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    # By job: what is wrong with its image, as soon as that is known.
    checks: dict[str, Future[str | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ministack = next(process for process in self.cloud.processes if process.name == "MiniStack")
        self.killer = Killer(
            ministack.group_id, KILL_EVERY_SECONDS, random.Random(f"{self.plan.seed}/killer")
        )
        # One at a time, while others are still to come: each takes most of a second of a processor.
        self.checker = ThreadPoolExecutor(max_workers=1)
        self.uploads_by_key = {upload.key: upload for upload in self.plan.uploads}
        self.started_at = time.monotonic()

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self.started_at

    def run(self, patience_seconds: float) -> None:
        plan = self.plan
        self.emulator.change_settings(random_seed=plan.seed, credits_usd=CREDITS_USD)
        self.emulator.put_faults(*plan.fault_rules())
        has_credits, next_end_look = True, 0.0
        with self.killer.at_large():
            while self.elapsed_seconds < plan.storm_seconds:
                if has_credits != (has_credits := plan.has_credits(self.elapsed_seconds)):
                    self.emulator.change_settings(credits_usd=CREDITS_USD if has_credits else 0.0)
                self._upload_due()
                self._look("storm" if has_credits else "storm, no credits")
        self.faults, self.calls = struck(self.emulator.faults()), self.emulator.counts()["calls"]
        self.emulator.put_faults()
        while self.elapsed_seconds < plan.storm_seconds + patience_seconds:
            self._look("calm")
            if self.elapsed_seconds > next_end_look:
                if self._is_over():
                    return
                next_end_look = self.elapsed_seconds + END_EVERY_SECONDS

    def evidence(self) -> Evidence:
        """What there is to see now; what is left running only shows after the end."""
        self._look("calm")
        killed_at_work, errors_logged = self.stage.logs()
        return Evidence(
            uploads=self.plan.uploads,
            delivered_again=self.delivered_again,
            jobs=self.jobs,
            sightings=self.sightings,
            events=self.events,
            completions=self.completions,
            requests=self.emulator.requests(),
            faults=self.faults,
            calls=self.calls,
            killed=self.killer.killed,
            killed_at_work=killed_at_work,
            errors_logged=errors_logged,
            images={job.photo.key: self._image_problem(job) for job in self.jobs},
            dead_letters=self.stage.dead_letters(),
            messages_left=self.stage.messages_left(),
            executions=self.stage.executions(),
            left_running=(),
            seconds=self.elapsed_seconds,
        )

    def _upload_due(self) -> None:
        for upload in self.plan.uploads[self.uploaded :]:
            if upload.at_seconds > self.elapsed_seconds:
                return
            self.stage.upload(upload)
            self.uploaded += 1

    def _look(self, weather: str) -> None:
        time.sleep(LOOK_EVERY_SECONDS)
        self.cloud.check()
        self._deliver_again()
        self.jobs = self.stage.jobs()
        self.sightings.note(self.jobs)
        for event in self.stage.events():
            (self.completions if event["detail-type"] == COMPLETED else self.events).append(event)
        for job in self.jobs:
            if job.image and job.job_id not in self.checks:
                self.checks[job.job_id] = self.checker.submit(self._check, job, job.image)
        states = Counter(f"{job.state}, {job.cause}" if job.cause else str(job.state) for job in self.jobs)
        killed = self.killer.killed.total()
        self.show(Glance(self.elapsed_seconds, weather, self.uploaded, states, len(self.events), killed))

    def _check(self, job: Job, image: Image) -> str | None:
        request = next(
            (each for each in self.emulator.requests() if each["request_id"] == job.request_id), None
        )
        return self.stage.image_problem(self.uploads_by_key[job.photo.key], job, image, request)

    def _image_problem(self, job: Job) -> str | None:
        if job.image is None:
            return "there is none"
        if self.stage.current_version(job.image.key) != job.image.version_id:
            return "the current version is not the job's"
        return self.checks[job.job_id].result()

    def _deliver_again(self) -> None:
        for event in self.stage.upload_events():
            key = json.loads(event)["detail"]["object"]["key"]
            pause_seconds = self.uploads_by_key[key].again_after_seconds
            self.again.append((self.elapsed_seconds + pause_seconds, event))
        due = [event for at_seconds, event in self.again if at_seconds <= self.elapsed_seconds]
        self.again = [(at_seconds, event) for at_seconds, event in self.again if event not in due]
        for event in due:
            self.stage.deliver_again(event)
        self.delivered_again += len(due)

    def _is_over(self) -> bool:
        """Whether nothing more will happen by itself, or needs to."""
        told = {fact_of(event) for event in self.events}
        return (
            self.uploads_by_key.keys() <= {job.photo.key for job in self.jobs}
            and all(job.stands_still and not job.owes_event for job in self.jobs)
            and self.sightings.facts() <= told
            and {event["detail"]["photo"]["key"] for event in self.completions} >= self.uploads_by_key.keys()
            and not self.again
            and not self.stage.messages_left()
            and not self.stage.executions()["RUNNING"]
        )


def struck(report: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """What the emulator did, by call and kind, from its report of the rules."""
    struck: Counter[tuple[str, str]] = Counter()
    for rule in report:
        effect = rule["effect"]
        struck[rule["call"], str(effect.get("status", effect["kind"]))] += rule["struck"]
    return struck


def _runs(process: Process) -> bool:
    """Whether anything is left of a process that has ended, or of what it had started."""
    return any_alive(process.group_id)
