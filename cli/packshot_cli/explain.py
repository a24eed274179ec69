"""`packshot explain`: what photos would become, from which line of which file, and at what price."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import typer
from pydantic_core import to_json

from packshot.aws import CONFIG
from packshot.scenes_file import MAX_MISTAKES, Mistake
from packshot.settings import SceneSettings
from packshot.staging import STACK, Source, is_given
from packshot_cli.errors import LocalCloudError, PhotosError, StackError
from packshot_cli.explaining import ExplainedJob, ExplainedPhoto, Explanation, explain
from packshot_cli.local_cloud import parse_parameters
from packshot_cli.photo_source import PhotoBucket, PhotoFolder, PhotoSource, folder_below, unread_above
from packshot_cli.stack import aws_in_a_line, find_stack
from packshot_cli.stack_settings import parameters_of, stack_settings
from packshot_cli.text import counted, one_line

REJECTED = 2
S3 = "s3://"
COLUMNS = 80
_VALUE_CHARACTERS = 400


@dataclass(frozen=True)
class Account:
    """Where a deployed stack is looked for; None where AWS's own environment says it."""

    stack: str | None
    region: str | None
    profile: str | None


def run(
    *,
    path: str,
    root: Path | None,
    parameters: Sequence[str],
    account: Account,
    bucket: str | None,
    as_json: bool,
) -> None:
    """The command: leaves with 0 when all would be accepted, 2 when not, 1 when it could not look."""
    try:
        with aws_in_a_line():
            settings, stacks_bucket = settings_of(parameters, account)
            source, keys, own_bucket = opened(path, root, account)
            explanation = explain(source, keys, settings, bucket or own_bucket or stacks_bucket)
    except (PhotosError, StackError, LocalCloudError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    try:
        if as_json:
            # The standard library's takes three times as long, for a thousand photos.
            sys.stdout.write(to_json(document(explanation, source, settings), indent=2).decode() + "\n")
        else:
            sys.stdout.writelines(f"{line}\n" for line in lines(explanation, settings))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read it has seen enough; Python would complain about what is left of it, when it ends.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    raise typer.Exit(0 if explanation.is_accepted else REJECTED)


def settings_of(parameters: Sequence[str], account: Account) -> tuple[SceneSettings, str | None]:
    """The settings of the stack that is meant, and its input bucket if it is a deployed one.

    Raises PhotosError, StackError, LocalCloudError, and what boto3 raises.
    """
    given = parse_parameters(parameters)
    if account.stack is None:
        return stack_settings(given), None
    stack = find_stack(account.stack, account.region, account.profile, Path())
    return stack_settings({**parameters_of(stack), **given}), stack.output("InputBucketName")


def opened(path: str, root: Path | None, account: Account) -> tuple[PhotoSource, list[str], str | None]:
    """What is to be looked at: where, which keys, and in which bucket, if it is one.

    Raises PhotosError, and what boto3 raises.
    """
    if path.startswith(S3):
        bucket, _, prefix = path.removeprefix(S3).partition("/")
        if not bucket:
            raise PhotosError(f"{path} names no bucket")
        session = boto3.Session(profile_name=account.profile, region_name=account.region)
        objects = PhotoBucket(session.client("s3", config=CONFIG), bucket)
        return objects, objects.keys(prefix), bucket
    if not path:
        raise PhotosError("The path is empty")
    folder, place = folder_below(Path(path), root)
    keys = folder.keys(place)
    tell_unread(folder)
    return folder, keys, None


def tell_unread(folder: PhotoFolder) -> None:
    """Say so when a scenes file further up has no say, because the folder below it stands for the bucket."""
    unread = unread_above(folder)
    if unread:
        typer.echo(f"{unread} is not read, being further up: --root {unread.parent} would read it", err=True)


def document(explanation: Explanation, source: PhotoSource, settings: SceneSettings) -> dict[str, Any]:
    """All of it for a machine, ready for JSON."""
    jobs = len(explanation.jobs)
    return {
        "photos": [_photo(photo, source) for photo in explanation.photos],
        "scenes_files": [
            {"key": key, "mistakes": [vars(mistake) for mistake in explanation.wrong_files.get(key, [])]}
            for key in explanation.files
        ],
        "passed_over": list(explanation.passed_over),
        "jobs": jobs,
        "image_price_usd": settings.image_price_usd,
        "image_price_date": settings.image_price_date,
        "quote_usd": round(jobs * settings.image_price_usd, 4),
        "accepted": explanation.is_accepted,
    }


def _photo(photo: ExplainedPhoto, source: PhotoSource) -> dict[str, Any]:
    return {
        "key": photo.key,
        "jobs": [_job(job, source) for job in photo.jobs],
        "ignored_by": vars(photo.ignored_by) if photo.ignored_by else None,
        "rejected": photo.rejected.model_dump() if photo.rejected else None,
        "mistakes": [vars(mistake) for mistake in photo.mistakes],
    }


def _job(explained: ExplainedJob, source: PhotoSource) -> dict[str, Any]:
    job = explained.job
    return {
        "scene": job.scene,
        # Without the bucket's name, nobody knows.
        "job_id": job.job_id if job.photo.bucket else None,
        "image_key": job.image_key,
        "manifest_key": job.manifest_key,
        "request": explained.request(source),
        "sources": {
            name: {"file": value.source.file, "path": value.source.path}
            for name, value in explained.staged.values.items()
        },
        "placeholders": {
            name: {"value": value.value, "file": value.source.file, "path": value.source.path}
            for name, value in explained.staged.words.items()
        },
    }


def lines(explanation: Explanation, settings: SceneSettings) -> Iterator[str]:
    """All of it for a person, the sum last. Values that the stack gives are in one line a photo."""
    for photo in explanation.photos:
        if photo.jobs:
            yield _bold(f"{one_line(photo.key)}  {counted(len(photo.jobs), 'job')}")
            for job in photo.jobs:
                yield from _lines_of(job)
            yield f"  the stack: {_of_stack(photo.jobs)}"
            yield ""
    ignored = [photo for photo in explanation.photos if photo.ignored_by]
    for photo in ignored:
        if photo.ignored_by:
            yield f"{one_line(photo.key)}  ignored by {photo.ignored_by.file} {photo.ignored_by.path}"
    rejected = [photo for photo in explanation.photos if photo.rejected]
    yield from rejections(explanation)
    if ignored or rejected or explanation.wrong_files or explanation.orphans:
        yield ""
    yield from _sum(explanation, settings, len(rejected), len(ignored))


def _lines_of(explained: ExplainedJob) -> Iterator[str]:
    job, staged = explained.job, explained.staged
    yield f"  {job.scene}  ->  {one_line(job.image_key or '')}"
    for name, value in staged.values.items():
        if value.source.file != STACK:
            yield from _line_of(name, staged.references.get(name, value.value), value.source)
    for name, value in staged.words.items():
        yield from _line_of(f"{{{name}}}", value.value, value.source)
    if explained.seed_is_known and not is_given(staged.values["seed"]):
        yield from _line_of("seed", job.seed, Source("drawn from", "the job's id"))


def _line_of(name: str, value: Any, source: Source) -> Iterator[str]:
    """A value, and where it stands: beside it, if there is room."""
    head, where = f"    {name:12}  {_shown(value)}", f"{one_line(source.file)} {source.path}"
    if len(head) + len(where) + 2 <= COLUMNS:
        yield f"{head}  {where:>{COLUMNS - len(head) - 2}}"
    else:
        yield head
        yield f"{where:>{COLUMNS}}"


def _of_stack(jobs: Sequence[ExplainedJob]) -> str:
    """What the stack gives to all of a photo's jobs alike."""
    common = [
        (name, value.value)
        for name, value in jobs[0].staged.values.items()
        if all(job.staged.values[name].source.file == STACK for job in jobs) and value.value is not None
    ]
    return ", ".join(f"{name} {_shown(value)}" for name, value in common) or "nothing"


def rejections(explanation: Explanation) -> Iterator[str]:
    """Why photos and files would be rejected; what is wrong with a scenes file once, however many need it."""
    by_file = dict.fromkeys(explanation.wrong_files, 0)
    for photo in explanation.photos:
        files = {mistake.file for mistake in photo.mistakes}
        if files and files <= by_file.keys():
            by_file[min(files)] += 1
        elif photo.rejected:
            yield _bold(f"{one_line(photo.key)}  rejected: {photo.rejected.code}")
            yield from _mistakes(photo.mistakes, photo.rejected.message)
    for key, mistakes in explanation.wrong_files.items():
        photos = f", and rejects {counted(by_file[key], 'photo')}" if by_file[key] else ""
        yield _bold(f"{one_line(key)}  cannot be used{photos}")
        yield from _mistakes(mistakes, "")
    for key in explanation.orphans:
        yield f"{one_line(key)}  is for no photo: there is none of that name beside it"


def _mistakes(mistakes: Sequence[Mistake], otherwise: str) -> Iterator[str]:
    yield from (f"  {one_line(str(mistake))}" for mistake in mistakes)
    if not mistakes:
        yield f"  {one_line(otherwise)}"
    if len(mistakes) == MAX_MISTAKES:
        yield f"  These are the first {MAX_MISTAKES}: there may be more"


def _sum(explanation: Explanation, settings: SceneSettings, rejected: int, ignored: int) -> Iterator[str]:
    if not explanation.photos:
        yield "There is no photo."
        return
    jobs = len(explanation.jobs)
    others = [
        f"{count:,} {word}"
        for count, word in (
            (rejected, "rejected"),
            (ignored, "ignored"),
            (len(explanation.passed_over), "passed over by name"),
        )
        if count
    ]
    aside = f" ({', '.join(others)})" if others else ""
    yield _bold(f"{counted(len(explanation.photos), 'photo')}{aside}, {counted(jobs, 'job')}")
    yield (
        f"${jobs * settings.image_price_usd:,.2f} at ${settings.image_price_usd:g} an image"
        f" (the price of {settings.image_price_date})"
    )


def _shown(value: Any) -> str:
    text = one_line(value if isinstance(value, str) else json.dumps(value))
    return text if len(text) <= _VALUE_CHARACTERS else text[:_VALUE_CHARACTERS] + "…"


def _bold(text: str) -> str:
    return typer.style(text, bold=True) if sys.stdout.isatty() else text
