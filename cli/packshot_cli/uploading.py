"""`packshot upload`: a folder of photos to a stack's input bucket, scenes first."""

from __future__ import annotations

import mimetypes
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from packshot.photo import is_photo_key
from packshot.scenes_file import MAX_FILE_BYTES
from packshot.settings import SceneSettings
from packshot_cli.errors import LocalCloudError, PhotosError, StackError
from packshot_cli.explain import REJECTED, Account, rejections, tell_unread
from packshot_cli.explaining import Explanation, explain
from packshot_cli.paying import is_agreed_to
from packshot_cli.photo_source import PhotoBucket, PhotoFolder, UploadedFolder, folder_below
from packshot_cli.signals import StopError, stopping_at_signals
from packshot_cli.stack import aws_in_a_line, find_stack
from packshot_cli.stack_settings import parameters_of, stack_settings
from packshot_cli.text import counted, one_line

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOADS_AT_ONCE = 8
# So many photos are named before the question.
SHOWN = 10


@dataclass
class _Sent:
    """How many files went out, for whoever stops on the way."""

    count: int = 0


def run(*, path: Path, root: Path | None, account: Account, only_accepted: bool, yes: bool) -> None:
    """The command: leaves with 0 when all was sent, 2 when something would be rejected, 1 when it failed."""
    sent = _Sent()
    try:
        with stopping_at_signals(), aws_in_a_line():
            stack = find_stack(account.stack, account.region, account.profile, Path())
            bucket = stack.output("InputBucketName")
            settings = stack_settings(parameters_of(stack))
            folder, top = folder_below(path, root)
            tell_unread(folder)
            standing = PhotoBucket(stack.client("s3"), bucket)
            # Scenes files that are there already have a say, too.
            source = UploadedFolder(folder, standing)
            explanation = explain(source, folder.keys(top), settings, bucket)
            for line in rejections(explanation):
                typer.echo(line, err=True)
            if not explanation.is_accepted and not only_accepted:
                typer.echo("Nothing was sent. --only-accepted leaves these out", err=True)
                raise typer.Exit(REJECTED)
            batches = in_order(explanation, folder)
            _tell_replaced(batches[1], folder, standing)
            _agree_to_pay(explanation, settings, bucket, batches, agreed=yes)
            for keys in batches:
                # All of one batch stand before the first of the next is sent.
                _send(stack.client("s3"), bucket, folder, keys, settings, sent)
    except (PhotosError, StackError, LocalCloudError) as error:
        typer.echo(_with_count(str(error), sent), err=True)
        raise typer.Exit(1) from None
    except StopError as stop:
        typer.echo(_with_count("Stopped", sent), err=True)
        raise typer.Exit(stop.exit_code) from None
    typer.echo(f"{counted(sent.count, 'file')} sent to s3://{bucket}")


def in_order(explanation: Explanation, folder: PhotoFolder) -> list[list[str]]:
    """The keys of the folder to send, in batches: images that go along, scenes files, photos.

    An image that goes along and is a photo by its name, too, goes with the photos, before the others.
    """
    references = {
        stored.key
        for job in explanation.jobs
        if job.job.parameters
        for stored in job.job.parameters.stored_images.values()
    }
    files = [key for key in explanation.files if key not in explanation.wrong_files]
    photos = [photo.key for photo in explanation.photos if photo.jobs]
    photos.sort(key=lambda key: key not in references)
    beside = sorted(key for key in references if not is_photo_key(key))
    return [[key for key in keys if folder.has(key)] for keys in (beside, files, photos)]


def _tell_replaced(keys: Sequence[str], folder: PhotoFolder, standing: PhotoBucket) -> None:
    """Scenes files that stand there with other words: other photos may go by them."""
    for key in keys:
        before, now = standing.read(key, MAX_FILE_BYTES), folder.read(key, MAX_FILE_BYTES)
        if before and now and before.data != now.data:
            typer.echo(f"{one_line(standing.place(key))} will be replaced by another", err=True)


def _agree_to_pay(
    explanation: Explanation,
    settings: SceneSettings,
    bucket: str,
    batches: Sequence[Sequence[str]],
    *,
    agreed: bool,
) -> None:
    photos = len(batches[2])
    if not any(batches):
        raise PhotosError("There is nothing to send")
    if not photos:
        # Scenes first: nothing is made of them, and nothing paid.
        return
    for key in batches[2][:SHOWN]:
        typer.echo(f"  {one_line(key)}", err=True)
    if photos > SHOWN:
        typer.echo(f"  and {photos - SHOWN:,} more", err=True)
    jobs = len(explanation.jobs)
    cost_usd = jobs * settings.image_price_usd
    typer.echo(
        f"{counted(photos, 'photo')} to s3://{bucket}: {counted(jobs, 'image')}, about ${cost_usd:,.2f}"
        f" at ${settings.image_price_usd:g} each ({settings.image_price_date}), less what is there already",
        err=True,
    )
    answer = agreed or is_agreed_to(Console(stderr=True))
    if answer is None:
        raise PhotosError("Nothing was sent: there is nobody to ask, and no --yes")
    if not answer:
        raise PhotosError("Nothing was sent")


def _send(
    s3: S3Client, bucket: str, folder: PhotoFolder, keys: Sequence[str], settings: SceneSettings, sent: _Sent
) -> None:
    def send(key: str) -> None:
        found = folder.read(key, settings.max_photo_bytes)
        if found is None:
            raise PhotosError(f"{key} is gone")
        kind, _ = mimetypes.guess_type(key)
        s3.put_object(Bucket=bucket, Key=key, Body=found.data, ContentType=kind or "application/octet-stream")

    pool = ThreadPoolExecutor(UPLOADS_AT_ONCE)
    try:
        for _ in _tracked(pool.map(send, keys), len(keys)):
            sent.count += 1
    finally:
        # Whoever stops it does not wait for what has not begun.
        pool.shutdown(cancel_futures=True)


def _tracked(results: Iterator[None], total: int) -> Iterator[None]:
    progress = Progress(
        *Progress.get_default_columns(),
        MofNCompleteColumn(),
        console=Console(stderr=True, highlight=False),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with progress:
        yield from progress.track(results, total=total, description="Uploading")


def _with_count(words: str, sent: _Sent) -> str:
    return f"{words}; {counted(sent.count, 'file')} sent before" if sent.count else words
