"""`packshot try`: one image of one photo in one scene, now, through the synchronous API, to disk."""

from __future__ import annotations

import base64
import io
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from packshot.pictures import Picture, read_picture
from packshot.scene import EXTENSIONS, SceneRequest
from packshot.segmind import SegmindClient, SegmindError, SyncImage
from packshot.settings import SceneSettings
from packshot_cli.errors import LocalCloudError, PhotosError
from packshot_cli.explain import tell_unread
from packshot_cli.explaining import ExplainedJob, ExplainedPhoto, explain
from packshot_cli.local_cloud import emulated_segmind, parse_parameters
from packshot_cli.paying import is_agreed_to
from packshot_cli.photo_source import PhotoFolder, folder_of_photo
from packshot_cli.signals import StopError, stopping_at_signals
from packshot_cli.stack_settings import stack_settings
from packshot_cli.text import bytes_in_words, one_line

SEGMIND_URL = "https://api.segmind.com"
EMULATED_SECONDS = 2.0
REJECTED = 2


class _RejectedError(Exception):
    """The photo, or the scene that was asked for, would be rejected."""


@dataclass(frozen=True)
class _Segmind:
    url: str
    api_key: str


def run(
    *,
    photo: Path,
    scene: str | None,
    root: Path | None,
    bucket: str | None,
    parameters: Sequence[str],
    output: Path | None,
    live: bool,
    force: bool,
    yes: bool,
) -> None:
    """The command: leaves with 0 and an image, 2 when it would be rejected, 1 when there is none."""
    try:
        with stopping_at_signals():
            settings = stack_settings(parse_parameters(parameters))
            folder, key = folder_of_photo(photo, root)
            tell_unread(folder)
            job = chosen(explain(folder, [key], settings, bucket).photos, scene)
            file = output or Path(f"{photo.stem}-{job.job.scene}.{_extension(job)}")
            if file.exists() and file.samefile(photo):
                raise PhotosError(f"{file} is the photo itself: --output names another file")
            if file.exists() and not force:
                raise PhotosError(f"{file} is there already: --output names another, --force replaces it")
            if live:
                _agree_to_pay(settings, agreed=yes)
            with _segmind(os.environ, live=live) as segmind:
                made, seconds = _make(segmind, request_of(job, folder, settings))
            typer.echo(_kept(made, file, job, settings, seconds, live=live))
    except _RejectedError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(REJECTED) from None
    except (PhotosError, LocalCloudError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except SegmindError as error:
        typer.echo(f"Segmind made no image: {one_line(str(error))}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"{error.filename or 'The image'} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(1) from None
    except StopError as stop:
        typer.echo("Stopped" + (": what Segmind took before will be paid" if live else ""), err=True)
        raise typer.Exit(stop.exit_code) from None


def chosen(photos: Sequence[ExplainedPhoto], scene: str | None) -> ExplainedJob:
    """The one job that is meant. Raises _RejectedError, which says why there is none."""
    if not photos:
        raise _RejectedError("By its name, that is no photo")
    (photo,) = photos
    if photo.rejected:
        whys = [str(mistake) for mistake in photo.mistakes] or [photo.rejected.message]
        raise _RejectedError(one_line("; ".join(whys)))
    if photo.ignored_by:
        raise _RejectedError(f"{photo.ignored_by.file} ignores it: {photo.ignored_by.path}")
    jobs = {job.job.scene: job for job in photo.jobs}
    if scene is None and len(jobs) == 1:
        return photo.jobs[0]
    if scene not in jobs:
        asked = "Which scene? --scene" if scene is None else f"There is no scene {one_line(scene)}; it"
        raise _RejectedError(f"{asked} is one of {', '.join(jobs)}")
    return jobs[scene]


def request_of(explained: ExplainedJob, folder: PhotoFolder, settings: SceneSettings) -> SceneRequest:
    """The request of a job, with its images in it; a seed that is not known yet is drawn.

    Raises PhotosError.
    """
    job = explained.job
    if job.parameters is None or job.seed is None:
        raise TypeError("a planned job has a scene and a seed")
    keys = {"image_1": job.photo.key} | {
        name: each.key for name, each in job.parameters.stored_images.items()
    }
    images = {}
    for name, key in keys.items():
        found = folder.read(key, settings.max_photo_bytes)
        if found is None:
            raise PhotosError(f"{one_line(key)} is gone")
        images[name] = base64.b64encode(found.data).decode()
    return job.parameters.request(seed=job.seed, **images)


def _make(segmind: _Segmind, request: SceneRequest) -> tuple[SyncImage, float]:
    began = time.monotonic()
    made = SegmindClient(segmind.url, lambda _fresh: segmind.api_key).run_sync(request)
    return made, time.monotonic() - began


@contextmanager
def _segmind(environment: Mapping[str, str], *, live: bool) -> Iterator[_Segmind]:
    """The real API, or an emulator of it for as long as it is needed."""
    if live:
        yield _Segmind(SEGMIND_URL, api_key_in(environment))
        return
    api_key = secrets.token_urlsafe(24)
    with emulated_segmind(EMULATED_SECONDS, api_key) as (_, url):
        yield _Segmind(url, api_key)


def api_key_in(environment: Mapping[str, str]) -> str:
    """The key of SEGMIND_API_KEY. Raises PhotosError where there is none that could be sent."""
    api_key = environment.get("SEGMIND_API_KEY", "").strip()
    if not api_key:
        raise PhotosError("SEGMIND_API_KEY is not set: asking Segmind needs a key from it, in that variable")
    if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
        raise PhotosError("SEGMIND_API_KEY is not a key: it holds a space or something that is no ASCII")
    return api_key


def _agree_to_pay(settings: SceneSettings, *, agreed: bool) -> None:
    api_key_in(os.environ)
    price = f"${settings.image_price_usd:g} ({settings.image_price_date})"
    typer.echo(f"Segmind will be paid for one image: about {price}", err=True)
    answer = agreed or is_agreed_to(Console(stderr=True))
    if answer is None:
        raise PhotosError("Nothing was sent, nothing is paid: there is nobody to ask, and no --yes")
    if not answer:
        raise PhotosError("Nothing was sent, nothing is paid")


def _kept(
    made: SyncImage,
    file: Path,
    explained: ExplainedJob,
    settings: SceneSettings,
    seconds: float,
    *,
    live: bool,
) -> str:
    """Write the image, and say in a line what it is. Raises OSError, and SegmindError when it is none."""
    picture = read_picture(io.BytesIO(made.data))
    if not isinstance(picture, Picture):
        raise SegmindError(f"what came back is no image: {picture.message}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(made.data)
    cost = f"${made.cost_usd:g}" if made.cost_usd is not None else f"about ${settings.image_price_usd:g}"
    parts = (
        f"{file}",
        f"{picture.width} x {picture.height}",
        bytes_in_words(len(made.data)),
        f"seed {explained.job.seed if made.seed is None else made.seed}",
        f"{seconds:.1f} s",
        cost if live else f"emulated, free (live: {cost})",
    )
    return "  ".join(parts)


def _extension(explained: ExplainedJob) -> str:
    if explained.job.parameters is None:
        raise TypeError("a planned job has a scene")
    return EXTENSIONS[explained.job.parameters.image_format]
