"""One design in the local cloud: photos in, images out, and everything on the way counted."""

from __future__ import annotations

import json
import math
import re
import secrets
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import requests

from benchmarks.bill import FunctionUse, Use
from benchmarks.capacity import Meter
from benchmarks.designs import Design, write_template
from benchmarks.proxy import GUEST, AwsProxy, AwsRequest, aws_proxy
from packshot_cli.local_cloud import LocalCloud, emulated_segmind, free_port, local_cloud
from packshot_cli.processes import Process

# Segmind's page of the model gives the median; how it spreads is assumed.
MEDIAN_SECONDS, SIGMA = 20.3, 0.25
SAMPLES = Path(__file__).resolve().parents[1] / "samples/photos"
LOOK_EVERY_SECONDS = 0.1
PATIENCE_SECONDS = 600.0
# Of a log event, beside its message (docs: CloudWatch Logs quotas).
LOG_EVENT_BYTES = 26
SWEEP = "SweepFunction"

_LOG_GROUP = re.compile(r"(?P<function>[A-Z][A-Za-z]+)LogGroup")
_REPORT = re.compile(r"REPORT .*Billed Duration: (?P<ms>[\d.]+) ms\tMemory Size: (?P<mb>\d+) MB")


@dataclass(frozen=True)
class Load:
    """How photos come: `photos` of them, one each `pause_seconds`, at most so many in flight (0: any)."""

    photos: int
    pause_seconds: float = 0.0
    in_flight: int = 0


@dataclass(frozen=True)
class Spread:
    """Of some seconds: how many values, their mean, median, 95th percentile and standard deviation."""

    count: int
    mean: float
    median: float
    p95: float
    deviation: float


@dataclass(frozen=True)
class Run:
    """What one design did with its photos.

    Delays are in seconds from the emulator's own completion: until a client first read of it, and until the
    image was put. `requests` are by function and name, `sweep` is the use of one sweep.
    """

    design: str
    title: str
    images: int
    notice: Spread
    publish: Spread
    polls: float
    use: Use
    sweep: Use
    metrics: int
    requests: dict[str, dict[str, float]]
    submits_a_minute: float
    seconds: float
    failures: int
    dead_letters: int
    refused_submits: int


class IncompleteRunError(Exception):
    """A design did not bring all its photos to images in time."""


def measure(design: Design, loads: Sequence[Load], tell: Callable[[str], None]) -> list[Run]:
    """Bring up one cloud for a design, and give it one load after the other.

    Raises IncompleteRunError and LocalCloudError.
    """
    api_key = secrets.token_urlsafe(16)
    port = free_port(None)
    with (
        tempfile.TemporaryDirectory() as folder,
        emulated_segmind(MEDIAN_SECONDS, api_key) as (emulator, segmind_url),
        aws_proxy(port) as proxy,
        local_cloud(
            segmind_url=segmind_url,
            api_key=api_key,
            port=port,
            parameters=design.parameters,
            template_file=write_template(design, Path(folder)),
            handlers_endpoint_url=proxy.url,
        ) as cloud,
    ):
        lab = _Lab(design, cloud, emulator, segmind_url, proxy)
        lab.set(sigma=SIGMA, requests_a_minute=lab.requests_a_minute, pictures="plain")
        return [lab.run(f"{number}", load, tell) for number, load in enumerate(loads)]


@dataclass
class _Lab:
    design: Design
    cloud: LocalCloud
    emulator: Process
    segmind_url: str
    proxy: AwsProxy

    def __post_init__(self) -> None:
        session = self.cloud.session()
        self.s3: Any = session.client("s3")
        # The local cloud's root: an operator may not read logs and histories of everything.
        root = boto3.Session("test", "test", region_name=self.cloud.region)
        endpoint_url = self.cloud.endpoint_url
        self.states: Any = root.client("stepfunctions", endpoint_url=endpoint_url)
        self.logs: Any = root.client("logs", endpoint_url=endpoint_url)
        self.sqs: Any = root.client("sqs", endpoint_url=endpoint_url)
        self.http = requests.Session()
        self.http.trust_env = False
        self.samples = sorted(path for path in SAMPLES.iterdir() if path.suffix in {".jpg", ".png", ".webp"})

    @property
    def requests_a_minute(self) -> int | None:
        """What the account at Segmind allows, where the design is told a rate of its own."""
        rate = self.design.parameters.get("RequestsAMinute")
        return int(rate) if rate else None

    def set(self, **settings: Any) -> None:
        answer = self.http.patch(f"{self.segmind_url}/_emulator/settings", json=settings, timeout=30)
        answer.raise_for_status()

    def run(self, name: str, load: Load, tell: Callable[[str], None]) -> Run:
        folder = f"bench-{name}"
        logs_before = self._log_messages()
        seen_before = len(self.proxy.seen())
        polls_before = self._asked()
        refused_before = self._counts()["answers"].get("submit", {}).get("429", 0)
        executions_before = set(self._executions())
        began = time.monotonic()
        self._upload(folder, load, tell)
        published = self._await_images(folder, load.photos, tell)
        self._await_rest()
        seconds = time.monotonic() - began
        seen = self.proxy.seen()[seen_before:]
        logs = {group: lines[len(logs_before[group]) :] for group, lines in self._log_messages().items()}
        executions = [arn for arn in self._executions() if arn not in executions_before]
        own = {photo: request for photo, request in self._requests().items() if photo.startswith(folder)}
        moments = {photo: datetime.fromisoformat(request["finished_at"]) for photo, request in own.items()}
        submitted = sorted(datetime.fromisoformat(request["submitted_at"]) for request in own.values())
        span_seconds = (submitted[-1] - submitted[0]).total_seconds()
        use, sweep = _uses(load.photos, seen, logs, self._entries(executions))
        return Run(
            design=self.design.name,
            title=self.design.title,
            images=load.photos,
            notice=spread(
                [
                    (datetime.fromisoformat(each["first_read_at"]) - moments[photo]).total_seconds()
                    for photo, each in own.items()
                ]
            ),
            publish=spread(
                [(published[photo] - moment).total_seconds() for photo, moment in moments.items()]
            ),
            polls=(self._asked() - polls_before) / load.photos,
            use=use,
            sweep=sweep,
            metrics=len(_metric_names(logs)),
            requests=_by_function(seen, load.photos),
            submits_a_minute=60 * (len(submitted) - 1) / span_seconds,
            seconds=seconds,
            failures=sum(request["status"] != "COMPLETED" for request in own.values()),
            dead_letters=self._messages("DeadLetter"),
            refused_submits=self._counts()["answers"].get("submit", {}).get("429", 0) - refused_before,
        )

    def _upload(self, folder: str, load: Load, tell: Callable[[str], None]) -> None:
        for number in range(load.photos):
            sample = self.samples[number % len(self.samples)]
            while load.in_flight and number - len(self._published(folder)) >= load.in_flight:
                self.cloud.check()
                time.sleep(LOOK_EVERY_SECONDS)
            self.s3.put_object(
                Bucket=self.cloud.outputs["InputBucketName"],
                Key=f"{folder}/photo-{number:03}{sample.suffix}",
                Body=sample.read_bytes(),
            )
            tell(f"{self.design.title}: {number + 1} of {load.photos} photos")
            time.sleep(load.pause_seconds)

    def _published(self, folder: str) -> dict[str, datetime]:
        """When the image of each photo was put, by the photo's key without its suffix."""
        return {
            request.key.rpartition("/")[0]: request.answered_at
            for request in self.proxy.seen()
            if request.name == "S3:PutObject"
            and request.status_code == 200
            and request.key.startswith(f"{folder}/")
            and not request.key.endswith(".json")
        }

    def _await_images(self, folder: str, photos: int, tell: Callable[[str], None]) -> dict[str, datetime]:
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while len(published := self._published(folder)) < photos:
            self.cloud.check()
            self.emulator.check()
            if time.monotonic() > ends_at:
                raise IncompleteRunError(
                    f"{self.design.title}: {len(published)} of {photos} images after {PATIENCE_SECONDS:.0f} s"
                )
            tell(f"{self.design.title}: {len(published)} of {photos} images")
            time.sleep(LOOK_EVERY_SECONDS)
        return published

    def _await_rest(self) -> None:
        """Until nothing runs any more, and what was said of it is written."""
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while self._executions("RUNNING") or self._messages("UploadQueue"):
            if time.monotonic() > ends_at:
                raise IncompleteRunError(f"{self.design.title}: something still runs")
            time.sleep(LOOK_EVERY_SECONDS)
        time.sleep(1.0)

    def _counts(self) -> Any:
        return self.http.get(f"{self.segmind_url}/_emulator/counts", timeout=30).json()

    def _asked(self) -> int:
        """How often it was asked how a request is doing."""
        return int(self._counts()["calls"].get("status", 0))

    def _requests(self) -> dict[str, Any]:
        """The emulator's requests by the key of their photo without its suffix."""
        answer = self.http.get(f"{self.segmind_url}/_emulator/requests", timeout=30).json()
        bucket = self.cloud.outputs["InputBucketName"]
        return {
            str(Path(each["body"]["image_1"].partition(f"{bucket}/")[2]).with_suffix("")): each
            for each in answer
        }

    def _executions(self, status: str | None = None) -> list[str]:
        arguments = {"stateMachineArn": self.cloud.outputs["WorkflowArn"]}
        if status:
            arguments["statusFilter"] = status
        pages = self.states.get_paginator("list_executions").paginate(**arguments)
        return [execution["executionArn"] for page in pages for execution in page["executions"]]

    def _entries(self, executions: Sequence[str]) -> list[int]:
        """How many states each execution entered."""
        paginator = self.states.get_paginator("get_execution_history")
        return [
            sum(
                event["type"].endswith("StateEntered")
                for page in paginator.paginate(executionArn=arn)
                for event in page["events"]
            )
            for arn in executions
        ]

    def _messages(self, queue: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        urls = [url for url in self.sqs.list_queues().get("QueueUrls", []) if queue in url]
        answers = [self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names) for url in urls]
        return sum(int(answer["Attributes"][name]) for answer in answers for name in names)

    def _log_messages(self) -> dict[str, list[str]]:
        """The functions' log lines, by function."""
        return {
            f"{named['function']}Function": list(self._log_lines(group["logGroupName"]))
            for page in self.logs.get_paginator("describe_log_groups").paginate()
            for group in page["logGroups"]
            if (named := _LOG_GROUP.search(group["logGroupName"]))
        }

    def _log_lines(self, log_group: str) -> Iterator[str]:
        for page in self.logs.get_paginator("filter_log_events").paginate(logGroupName=log_group):
            for event in page["events"]:
                yield event["message"]


def spread(values: Sequence[float]) -> Spread:
    """Raises statistics.StatisticsError where there are less than two."""
    ordered = sorted(values)
    return Spread(
        count=len(ordered),
        mean=statistics.mean(ordered),
        median=statistics.median(ordered),
        p95=ordered[math.ceil(0.95 * len(ordered)) - 1],
        deviation=statistics.stdev(ordered),
    )


def _uses(
    images: int, seen: Sequence[AwsRequest], logs: dict[str, list[str]], entries: Sequence[int]
) -> tuple[Use, Use]:
    """The use of some images, and of one sweep."""
    units: dict[bool, Meter] = {True: Meter(), False: Meter()}
    meter = Meter()
    for request in seen:
        if request.service == "DynamoDB":
            writes, reads = meter.count(request.operation, request.body, request.answer, request.status_code)
            units[request.function == SWEEP].write_units += writes
            units[request.function == SWEEP].read_units += reads
    functions = {name: _function_use(lines) for name, lines in logs.items()}
    messages = functions["SubmitFunction"].invocations
    own = [request for request in seen if request.function not in {SWEEP, GUEST}]
    sweeping = [request for request in seen if request.function == SWEEP]
    fetched = [request for request in seen if request.function == GUEST]
    images_use = replace(
        _requests_use(images, own, {name: use for name, use in functions.items() if name != SWEEP}, logs),
        state_entries=sum(entries),
        edges=sum(entries) + len(entries),
        write_units=units[False].write_units,
        read_units=units[False].read_units,
    )
    images_use = replace(
        images_use,
        # The queue's own requests are not made by a function: each message is sent, received and deleted.
        sqs_requests=images_use.sqs_requests + 3 * messages,
        # S3 tells the bus of each upload.
        events=images_use.events + images,
        s3_gets=images_use.s3_gets + len(fetched),
        egress_bytes=sum(request.answer_bytes for request in fetched),
    )
    sweeps = functions.get(SWEEP, FunctionUse(0, 0.0, 0.0))
    sweep_use = replace(
        _requests_use(max(sweeps.invocations, 1), sweeping, {SWEEP: sweeps}, logs),
        write_units=units[True].write_units,
        read_units=units[True].read_units,
    )
    return images_use, sweep_use


def _requests_use(
    images: int, seen: Sequence[AwsRequest], functions: dict[str, FunctionUse], logs: dict[str, list[str]]
) -> Use:
    names = Counter(request.name for request in seen)
    lines = [line for name in functions for line in logs.get(name, [])]
    return Use(
        images=images,
        functions=functions,
        s3_puts=names["S3:PutObject"],
        s3_gets=sum(names[f"S3:{name}"] for name in ("GetObject", "HeadObject", "GetBucketVersioning")),
        sqs_requests=sum(count for name, count in names.items() if name.startswith("SQS:")),
        events=sum(len(request.body["Entries"]) for request in seen if request.operation == "PutEvents"),
        secret_reads=names["secretsmanager:GetSecretValue"],
        log_bytes=sum(len(line.encode()) + LOG_EVENT_BYTES for line in lines),
    )


def _function_use(lines: Sequence[str]) -> FunctionUse:
    reports = [found for line in lines if (found := _REPORT.search(line))]
    billed = [(math.ceil(float(each["ms"])) / 1000, int(each["mb"]) / 1024) for each in reports]
    return FunctionUse(
        invocations=len(billed),
        seconds=sum(seconds for seconds, _ in billed),
        gb_seconds=sum(seconds * gb for seconds, gb in billed),
    )


def _metric_names(logs: dict[str, list[str]]) -> set[tuple[str, ...]]:
    """The custom metrics in the logs (embedded metric format), each with its dimensions."""
    found = set()
    for line in (line for lines in logs.values() for line in lines if '"CloudWatchMetrics"' in line):
        content = json.loads(line)
        for group in content["_aws"]["CloudWatchMetrics"]:
            for metric in group["Metrics"]:
                for dimensions in group["Dimensions"]:
                    values = tuple(str(content[name]) for name in dimensions)
                    found.add((metric["Name"], *values))
    return found


def _by_function(seen: Sequence[AwsRequest], images: int) -> dict[str, dict[str, float]]:
    """Requests an image, by function and by name."""
    table: dict[str, dict[str, float]] = {}
    for (function, name), count in sorted(Counter((each.function, each.name) for each in seen).items()):
        table.setdefault(function, {})[name] = count / images
    return table
