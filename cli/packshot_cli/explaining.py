"""What would become of photos, and why: the planner's own decisions, before anything is uploaded or paid."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from packshot.events import INVALID_SCENE
from packshot.job import Job, Reason
from packshot.photo import Photo, is_photo_key, sku_in
from packshot.pictures import NotAPicture, read_picture
from packshot.planning import WrongFileError, complete, jobs_of, path_taken, paths_of
from packshot.scene import StoredImage
from packshot.scenes_file import SIDECAR_SUFFIX, Mistake, ScenesFile, is_scenes_key, read_scenes_file
from packshot.scenes_store import NoImage
from packshot.settings import SceneSettings
from packshot.staging import (
    Source,
    StagedScene,
    governing_keys,
    governing_layers,
    ignored_by,
    is_given,
    stage,
)
from packshot_cli.errors import PhotosError
from packshot_cli.photo_source import PhotoSource


@dataclass(frozen=True)
class ExplainedJob:
    """A job as it would be planned, and where each value of its scene stands."""

    job: Job
    staged: StagedScene

    @property
    def seed_is_known(self) -> bool:
        """A drawn seed follows from the job's id, and that from the bucket's name."""
        return bool(self.job.photo.bucket) or is_given(self.staged.values["seed"])

    def request(self, source: PhotoSource) -> dict[str, Any]:
        """The exact body of its request, but for images that have no address before they are sent."""
        if self.job.parameters is None or self.job.seed is None:
            raise TypeError("a planned job has a scene and a seed")
        stored = {name: source.place(each.key) for name, each in self.job.parameters.stored_images.items()}
        place = source.place(self.job.photo.key)
        body = self.job.parameters.request(place, self.job.seed, **stored).body()
        return body if self.seed_is_known else {**body, "seed": None}


@dataclass(frozen=True)
class ExplainedPhoto:
    """What would become of one photo: jobs, or why not."""

    key: str
    jobs: Sequence[ExplainedJob] = ()
    ignored_by: Source | None = None
    mistakes: Sequence[Mistake] = ()
    rejected: Reason | None = None


@dataclass(frozen=True)
class Explanation:
    """All of it. `files` are the scenes files, `passed_over` what by its name is neither that nor a photo."""

    photos: Sequence[ExplainedPhoto]
    files: dict[str, ScenesFile | list[Mistake]] = field(default_factory=dict)
    passed_over: Sequence[str] = ()

    @property
    def jobs(self) -> list[ExplainedJob]:
        return [job for photo in self.photos for job in photo.jobs]

    @property
    def wrong_files(self) -> dict[str, list[Mistake]]:
        return {key: found for key, found in self.files.items() if isinstance(found, list)}

    @property
    def orphans(self) -> list[str]:
        """Scenes files of single photos that are not there."""
        photos = {photo.key for photo in self.photos}
        of_one = [key for key in self.files if key.endswith(SIDECAR_SUFFIX)]
        return [key for key in of_one if key.removesuffix(SIDECAR_SUFFIX) not in photos]

    @property
    def is_accepted(self) -> bool:
        """Whether nothing of it would be rejected."""
        return not self.wrong_files and not any(photo.rejected for photo in self.photos)


@dataclass(frozen=True)
class _Judged:
    """A photo whose bytes were read, or why it would be rejected."""

    photo: Photo
    metadata: dict[str, str]
    rejected: Reason | None


def explain(
    source: PhotoSource, keys: Sequence[str], settings: SceneSettings, bucket: str | None
) -> Explanation:
    """What would become of what stands under these keys, as if it were uploaded in their order.

    `bucket` is where it would be uploaded to, if that is known. Raises PhotosError and ClientError.
    """
    files: dict[str, ScenesFile | list[Mistake] | None] = {}

    def scenes_file(key: str) -> ScenesFile | None:
        if key not in files:
            found = source.read(key, settings.max_photo_bytes)
            files[key] = None if found is None else read_scenes_file(key, found.data)
        file = files[key]
        if isinstance(file, list):
            raise WrongFileError(file)
        return file

    @cache
    def image(key: str) -> StoredImage | NoImage:
        return _image(source, key, settings.max_photo_bytes)

    in_reach = [key for key in keys if key.startswith(settings.photo_prefix)]
    photo_keys = [key for key in in_reach if is_photo_key(key)]
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        judged = list(pool.map(lambda key: _judged(source, key, settings, bucket), photo_keys))
    owners: dict[str, str] = {}
    photos = []
    for each in judged:
        photo = _explained(each, settings, scenes_file, image)
        if photo.jobs:
            jobs = [job.job for job in photo.jobs]
            taken = next((path for path in paths_of(jobs) if path in owners), None)
            if taken is None:
                owners |= dict.fromkeys(paths_of(jobs), photo.key)
            else:
                photo = ExplainedPhoto(photo.key, rejected=path_taken(taken, owners[taken]))
        photos.append(photo)
    for key in in_reach:
        if is_scenes_key(key):
            try:
                scenes_file(key)
            except WrongFileError:
                # Told of with the files.
                continue
    found_files = {key: file for key, file in sorted(files.items()) if file is not None}
    others = [key for key in keys if key not in set(photo_keys) and not is_scenes_key(key)]
    return Explanation(photos, found_files, others)


def _explained(judged: _Judged, settings: SceneSettings, scenes_file: Any, image: Any) -> ExplainedPhoto:
    """As the planner goes about it, in the same order."""
    photo = judged.photo
    try:
        layers = governing_layers(governing_keys(photo.key, settings.photo_prefix), scenes_file)
    except WrongFileError as error:
        return _wrong(photo.key, error.mistakes)
    ignoring = ignored_by(photo.key, layers)
    if ignoring:
        return ExplainedPhoto(photo.key, ignored_by=ignoring)
    if judged.rejected:
        return ExplainedPhoto(photo.key, rejected=judged.rejected)
    staged = stage(photo.key, photo.sku, settings.root(), layers, judged.metadata)
    scenes = complete(staged, image)
    if isinstance(scenes, list):
        return _wrong(photo.key, scenes)
    jobs = jobs_of(photo, scenes, settings.path_template, datetime.now(UTC))
    if isinstance(jobs, Reason):
        return ExplainedPhoto(photo.key, rejected=jobs)
    of_jobs = (each for each in staged if isinstance(each, StagedScene))
    return ExplainedPhoto(photo.key, [ExplainedJob(*pair) for pair in zip(jobs, of_jobs, strict=True)])


def _wrong(key: str, mistakes: Sequence[Mistake]) -> ExplainedPhoto:
    message = "; ".join(map(str, mistakes))
    return ExplainedPhoto(key, mistakes=mistakes, rejected=Reason(code=INVALID_SCENE, message=message))


def _judged(source: PhotoSource, key: str, settings: SceneSettings, bucket: str | None) -> _Judged:
    photo = Photo(bucket=bucket or "", key=key, sku=sku_in(key, settings.sku_pattern))
    try:
        found = source.read(key, settings.max_photo_bytes)
    except PhotosError as error:
        # Of one file among many: the others are told of as well.
        return _Judged(photo, {}, Reason(code="PhotoUnreadable", message=str(error)))
    if found is None:
        return _Judged(photo, {}, Reason(code="PhotoMissing", message="it was deleted meanwhile"))
    if found.size_bytes > settings.max_photo_bytes:
        words = f"the file has {found.size_bytes} bytes; at most {settings.max_photo_bytes} are accepted"
        return _Judged(photo, {}, Reason(code="PhotoTooLarge", message=words))
    match read_picture(io.BytesIO(found.data)):
        case NotAPicture(code, message):
            return _Judged(photo, {}, Reason(code=code, message=message))
    digest = hashlib.sha256(found.data).hexdigest()
    read = photo.model_copy(update={"sha256": digest, "bytes": found.size_bytes})
    return _Judged(read, dict(found.metadata), None)


def _image(source: PhotoSource, key: str, max_bytes: int) -> StoredImage | NoImage:
    found = source.read(key, max_bytes)
    if found is None:
        return NoImage("there is no such object")
    if found.size_bytes > max_bytes:
        return NoImage(f"it has {found.size_bytes} bytes, of at most {max_bytes}")
    match read_picture(io.BytesIO(found.data)):
        case NotAPicture(_, message):
            return NoImage(message)
    return StoredImage(key=key, sha256=hashlib.sha256(found.data).hexdigest())
