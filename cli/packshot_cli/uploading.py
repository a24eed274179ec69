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

from packshot.settings import SceneSettings
from packshot_cli.errors import LocalCloudError, PhotosError, StackError
from packshot_cli.explain import REJECTED, Account, lines
from packshot_cli.explaining import Explanation, explain
from packshot_cli.paying import is_agreed_to
from packshot_cli.photo_source import PhotoFolder, folder_below
from packshot_cli.signals import StopError, stopping_at_signals
from packshot_cli.stack import aws_in_a_line, find_stack
from packshot_cli.stack_settings import parameters_of, stack_settings
from packshot_cli.text import counted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOADS_AT_ONCE = 8


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
            explanation = explain(folder, folder.keys(top), settings, bucket)
            if not explanation.is_accepted and not only_accepted:
                _tell_rejected(explanation, settings)
                raise typer.Exit(REJECTED)
            batches = in_order(explanation)
            _agree_to_pay(explanation, settings, bucket, agreed=yes)
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


def in_order(explanation: Explanation) -> list[list[str]]:
    """The keys to send, in batches: images that go along, scenes files, photos."""
    references = {
        stored.key
        for job in explanation.jobs
        if job.job.parameters
        for stored in job.job.parameters.stored_images.values()
    }
    files = [key for key in explanation.files if key not in explanation.wrong_files]
    photos = [photo.key for photo in explanation.photos if photo.jobs]
    return [sorted(references), files, photos]


def _tell_rejected(explanation: Explanation, settings: SceneSettings) -> None:
    rejected = [photo for photo in explanation.photos if photo.rejected]
    shown = Explanation(rejected, explanation.files)
    for line in lines(shown, settings):
        typer.echo(line, err=True)
    typer.echo("Nothing was sent. --only-accepted sends the others", err=True)


def _agree_to_pay(explanation: Explanation, settings: SceneSettings, bucket: str, *, agreed: bool) -> None:
    photos = sum(bool(photo.jobs) for photo in explanation.photos)
    if not photos:
        raise PhotosError("There is no photo to send")
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
