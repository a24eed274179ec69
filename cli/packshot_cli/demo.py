"""`packshot demo`: photos become scenes in a local cloud while one watches, and a page shows them."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from packshot.job import Job, JobState
from packshot.pictures import Picture, read_picture
from packshot.scenes_file import is_scenes_key
from packshot_cli.demo_photos import FOLDER, SAMPLES, DemoPhoto, find_photos, passed_over
from packshot_cli.errors import DemoError, LocalCloudError
from packshot_cli.event_tap import tap
from packshot_cli.gallery import Exhibit, Gallery, page
from packshot_cli.local_cloud import LocalCloud, local_cloud
from packshot_cli.output_folder import PAGE, PHOTOS, OutputFolder, output_folder
from packshot_cli.paying import cost_in_words, is_agreed_to
from packshot_cli.progress import Line, all_settled, events_shown, is_settled, lines_of, shown
from packshot_cli.signals import StopError, stopping_at_signals
from packshot_cli.text import counted, one_line

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SEGMIND_URL = "https://api.segmind.com"
EMULATED_SECONDS = 5.0
# The model's usual time, by its page; the first wait of the workflow is made for it.
MODEL_SECONDS = 20.3

PATIENCE_SECONDS = 120.0
LIVE_PATIENCE_SECONDS = 600.0
EVENTS_WITHIN_SECONDS = 5.0
LOOK_EVERY_SECONDS = 0.4
PIPE_COLUMNS = 200
PASSED_OVER_SHOWN = 8


@dataclass(frozen=True)
class Segmind:
    """Which Segmind a demo uses. Without a URL it is the emulator, with jobs of `seconds`."""

    seconds: float
    url: str | None = None
    api_key: str | None = field(default=None, repr=False)

    @property
    def is_emulated(self) -> bool:
        return self.url is None

    def cloud_arguments(self) -> dict[str, Any]:
        """What `local_cloud` is to be told."""
        if self.is_emulated:
            return {
                "emulator_seconds": self.seconds,
                "wait_scale": self.seconds / MODEL_SECONDS,
                # The emulator does not mind being asked twice a second.
                "parameters": {"SegmindPlan": "custom", "RequestsAMinute": "1000"},
            }
        # Segmind cannot fetch from a bucket on this machine: the photos travel inline.
        return {
            "segmind_url": self.url,
            "api_key": self.api_key,
            "parameters": {"ImageTransfer": "inline"},
        }


def run(
    *, photos: str | None, seconds: float | None, live: bool, output: Path, keep: bool, yes: bool
) -> None:
    """The command: leaves with 0 when every job has its image, else with a code and a line of why."""
    console = _console()
    sending = False
    try:
        with stopping_at_signals():
            segmind, folder = choose(os.environ, photos, seconds, live=live)
            found = find_photos(folder)
            _tell_passed_over(console, folder, found)
            if live:
                _agree_to_pay(console, len(found), agreed=yes)
            sending = True
            code = show(console, found, segmind, output, keep=keep)
    except (DemoError, LocalCloudError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except (BotoCoreError, ClientError) as error:
        typer.echo(f"The local cloud did not do as asked: {one_line(str(error))}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"{error.filename or 'The output'} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    except StopError as stop:
        paid = ". What Segmind took before will be paid" if live and sending else ""
        typer.echo(f"Stopped: nothing is left running{paid}", err=True)
        raise typer.Exit(stop.exit_code) from None
    raise typer.Exit(code)


def choose(
    environment: Mapping[str, str], photos: str | None, seconds: float | None, *, live: bool
) -> tuple[Segmind, Path]:
    """Which Segmind, and which folder of photos. Raises DemoError when something is missing."""
    if not live:
        if photos == "":
            raise DemoError("--photos is empty: name a folder, or leave it out for the samples")
        return Segmind(seconds or EMULATED_SECONDS), Path(photos) if photos else SAMPLES
    api_key = environment.get("SEGMIND_API_KEY", "").strip()
    if not api_key:
        raise DemoError("SEGMIND_API_KEY is not set: SEGMIND_API_KEY=… make demo-live PHOTOS=folder/")
    if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
        raise DemoError("SEGMIND_API_KEY is not a key: it holds a space or something that is no ASCII")
    if not photos:
        raise DemoError("No photos are named: SEGMIND_API_KEY=… make demo-live PHOTOS=folder/")
    if seconds is not None:
        raise DemoError("--seconds is the emulator's: with --live, the model takes what it takes")
    return Segmind(MODEL_SECONDS, SEGMIND_URL, api_key), Path(photos)


def show(
    console: Console, photos: Sequence[DemoPhoto], segmind: Segmind, output: Path, *, keep: bool = False
) -> int:
    """Run the demo; returns the exit code. Raises DemoError, LocalCloudError and what boto3 raises."""
    made_by = "an emulated Segmind" if segmind.is_emulated else "Segmind"
    console.print(
        f"Packshot demo: {counted(len(photos), 'photo')}, {made_by}, and the whole stack on this machine"
    )
    with output_folder(output) as folder:
        _copy_photos(photos, folder)
        with local_cloud(**segmind.cloud_arguments(), tell=console.print) as cloud:
            demo = _Demo(console, cloud, segmind, folder)
            code = demo.play(photos)
            if keep:
                _keep(console, cloud)
            return code


class _Demo:
    """The operator's side of a demo: uploads, looks, listens, fetches."""

    def __init__(self, console: Console, cloud: LocalCloud, segmind: Segmind, folder: OutputFolder) -> None:
        session = cloud.session()
        self._console = console
        self._cloud = cloud
        self._segmind = segmind
        self._folder = folder
        self._s3: S3Client = session.client("s3")
        self._table = session.resource("dynamodb").Table(cloud.outputs["JobTableName"])
        self._tap = tap(session, cloud.outputs["EventBusName"])
        self._uploaded: dict[str, datetime] = {}

    def play(self, photos: Sequence[DemoPhoto]) -> int:
        bucket = self._cloud.outputs["InputBucketName"]
        self._console.print(f"Uploading {counted(len(photos), 'photo')} to {bucket}", soft_wrap=True)
        started = time.monotonic()
        jobs = self._watch(photos)
        total_seconds = time.monotonic() - started
        self._hear_the_rest(jobs)
        self._console.print(f"\nOn the event bus {self._cloud.outputs['EventBusName']}:")
        self._console.print(events_shown(list(self._tap.heard.values()), self._console.width))

        lines = lines_of(self._uploaded, jobs, datetime.now(UTC), self._segmind.seconds)
        try:
            exhibits = self._exhibits(lines)
            gallery = Gallery(exhibits, self._segmind.is_emulated, total_seconds, datetime.now(UTC))
            (self._folder.making / PAGE).write_text(page(gallery), encoding="utf-8")
        finally:
            # On a full disk too: what was fetched until then may have been paid for.
            self._folder.publish()

        self._console.print()
        for line in lines:
            if line.state is not JobState.COMPLETED:
                self._console.print(Text(_why_no_image(line, total_seconds), style="red"), soft_wrap=True)
        images = sum(exhibit.image_file is not None for exhibit in exhibits)
        self._console.print(
            f"{counted(images, 'image')} of {counted(len(lines), 'job')} in {total_seconds:.1f} s"
        )
        if images:
            self._console.print(Text(f"Images  {self._folder.path / FOLDER}"), soft_wrap=True)
        self._console.print(Text(f"Page    {self._folder.path / PAGE}"), soft_wrap=True)
        return 0 if images == len(lines) else 1

    def _watch(self, photos: Sequence[DemoPhoto]) -> list[Job]:
        """Upload the photos and follow their jobs until all are settled, or time is over."""
        ends_at = time.monotonic() + _patience_seconds(self._segmind, len(photos))
        with shown(self._console, self._uploaded, self._segmind.seconds) as tell:
            for photo in photos:
                self._upload(photo)
                tell(())
            while True:
                self._cloud.check()
                self._tap.listen()
                jobs = self._jobs()
                tell(jobs)
                if all_settled(self._uploaded, jobs) or time.monotonic() > ends_at:
                    return jobs
                time.sleep(LOOK_EVERY_SECONDS)

    def _upload(self, photo: DemoPhoto) -> None:
        self._uploaded[photo.key] = datetime.now(UTC)
        with (self._folder.making / PHOTOS / photo.key).open("rb") as body:
            self._s3.put_object(
                Bucket=self._cloud.outputs["InputBucketName"],
                Key=photo.key,
                Body=body,
                Metadata={"packshot-prompt": photo.prompt} if photo.prompt else {},
            )

    def _jobs(self) -> list[Job]:
        """The jobs of the uploaded photos, as the job table has them."""
        pages = self._table.meta.client.get_paginator("scan").paginate(
            TableName=self._table.name,
            ConsistentRead=True,
            FilterExpression="begins_with(pk, :job)",
            ExpressionAttributeValues={":job": "job#"},
        )
        jobs = [Job.model_validate(row) for page in pages for row in page["Items"]]
        return [job for job in jobs if job.photo.key in self._uploaded]

    def _hear_the_rest(self, jobs: Sequence[Job]) -> None:
        """Events arrive a moment after the row that owes them."""
        ends_at = time.monotonic() + EVENTS_WITHIN_SECONDS
        while (self._tap.owed(jobs) or self._tap.uncompleted(jobs)) and time.monotonic() < ends_at:
            time.sleep(LOOK_EVERY_SECONDS)
            self._tap.listen()

    def _exhibits(self, lines: Sequence[Line]) -> list[Exhibit]:
        """What the page shows; fetches the images on the way."""
        exhibits = []
        for line in lines:
            photo_file = f"{PHOTOS}/{line.photo}"
            with (self._folder.making / photo_file).open("rb") as file:
                picture = read_picture(file)
            exhibits.append(
                Exhibit(
                    photo_key=line.photo,
                    photo_file=photo_file,
                    photo=picture if isinstance(picture, Picture) else None,
                    job=line.job,
                    image_file=self._fetch(line.job),
                    seconds=line.seconds,
                )
            )
        return exhibits

    def _fetch(self, job: Job | None) -> str | None:
        """Fetch the image of a job to where its key says; the path from the page, None when it has none."""
        if job is None or job.image is None:
            return None
        answer = self._s3.get_object(Bucket=job.image.bucket, Key=job.image.key)
        file = self._folder.making / job.image.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(answer["Body"].read())
        return job.image.key


def _console() -> Console:
    """Standard output; as wide as the longest line when nobody's screen sets a width."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def _tell_passed_over(console: Console, folder: Path, found: Sequence[DemoPhoto]) -> None:
    names = passed_over(folder, found)
    if any(is_scenes_key(name) for name in names):
        console.print(
            "A demo makes one image of each photo: scenes files are for packshot explain, try and upload",
            soft_wrap=True,
        )
    names = [name for name in names if not is_scenes_key(name)]
    if names:
        shown = ", ".join(names[:PASSED_OVER_SHOWN])
        more = f" and {len(names) - PASSED_OVER_SHOWN} more" if len(names) > PASSED_OVER_SHOWN else ""
        console.print(
            Text(f"Passed over, being no .jpg, .jpeg, .png or .webp: {shown}{more}"), soft_wrap=True
        )


def _agree_to_pay(console: Console, photos: int, *, agreed: bool) -> None:
    """Say what it may cost, and ask for a yes if none was given. Raises DemoError without one."""
    console.print(f"Segmind will be paid for {cost_in_words(photos)}", soft_wrap=True)
    if agreed:
        return
    answer = is_agreed_to(console)
    if answer is None:
        raise DemoError(
            "Nothing was sent, nothing is paid: there is nobody to ask, and no --yes (make: YES=1)"
        )
    if not answer:
        raise DemoError("Nothing was sent, nothing is paid")


def _copy_photos(photos: Sequence[DemoPhoto], folder: OutputFolder) -> None:
    """Copy them for the page, before anything is started: what cannot be read is found out here."""
    (folder.making / PHOTOS / FOLDER).mkdir(parents=True)
    for photo in photos:
        try:
            shutil.copyfile(photo.file, folder.making / PHOTOS / photo.key)
        except OSError as error:
            raise DemoError(f"{photo.file} cannot be copied: {error.strerror}") from None


def _patience_seconds(segmind: Segmind, photos: int) -> float:
    """How long to wait for all of the photos; about a second goes into getting each of them under way."""
    return PATIENCE_SECONDS + segmind.seconds + photos if segmind.is_emulated else LIVE_PATIENCE_SECONDS


def _why_no_image(line: Line, after_seconds: float) -> str:
    name = line.photo.rsplit("/", 1)[-1]
    if line.job is None:
        return f"{name}: no job after {after_seconds:.0f} s"
    if is_settled(line.job):
        return f"{name}: {line.state_name}: {line.words}"
    request = f", request {line.job.request_id}" if line.job.request_id else ""
    return f"{name}: still {line.state_name} after {after_seconds:.0f} s{request}"


def _keep(console: Console, cloud: LocalCloud) -> None:
    """Leave the cloud running for a look around, until a signal."""
    told = cloud.description()
    console.print(
        "\nThe local cloud stays until Ctrl-C. In another shell, with the AWS CLI:\n"
        f"export AWS_ENDPOINT_URL={told['endpoint_url']} AWS_DEFAULT_REGION={told['region']}"
        f" AWS_ACCESS_KEY_ID={told['access_key_id']} AWS_SECRET_ACCESS_KEY={told['secret_access_key']}\n"
        f"aws s3 cp photo.jpg s3://{cloud.outputs['InputBucketName']}/\n"
        f"aws s3 ls --recursive s3://{cloud.outputs['OutputBucketName']}/\n"
        "What became of each photo, and why:\n"
        f"aws dynamodb scan --table-name {cloud.outputs['JobTableName']}",
        soft_wrap=True,
    )
    with suppress(StopError):
        cloud.stay()
    console.print("Stopped: nothing is left running")
