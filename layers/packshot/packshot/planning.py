"""From an upload to planned jobs: what it is, which scenes it asks for, and where their images will go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from packshot.announcing import Announcer
from packshot.events import INVALID_SCENE, MAX_REASON_CHARACTERS, scenes_rejected_event
from packshot.job import NEWER_PHOTO, Job, JobState, Reason, job_id, upload_id
from packshot.job_table import JobTable, NewerKnown, PathOwned, Planned
from packshot.paths import image_key, manifest_key
from packshot.photo import MAX_KEY_BYTES, Photo, is_photo_key, sku_in
from packshot.photo_store import Overwritten, PhotoStore, Unusable
from packshot.placeholders import UnknownPlaceholderError
from packshot.scene import DEFAULT_SCENE, Scene, StoredImage
from packshot.scenes_file import MAX_MISTAKES, Mistake, ScenesFile, is_scenes_key, shown, told
from packshot.scenes_store import NoImage, ScenesStore
from packshot.staging import (
    Root,
    StagedScene,
    governing_keys,
    governing_layers,
    ignored_by,
    stage,
)

# A planned job is submitted within seconds; after this something is amiss with it.
PLANNED_DUE = timedelta(minutes=15)

OVERWRITTEN = Reason(code="Overwritten", message="a newer upload took the photo's place before it was read")


@dataclass(frozen=True)
class NotAPhoto:
    """An upload that no image is made of, and why."""

    why: str


class WrongFileError(Exception):
    """A scenes file that has a say in a photo cannot be used."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__(told(mistakes))
        self.mistakes = mistakes


def complete(
    staged: Sequence[StagedScene] | Sequence[Mistake], image: Callable[[str], StoredImage | NoImage]
) -> dict[str, Scene] | list[Mistake]:
    """The scenes of a photo by name, with the images that go along; or what is wrong.

    `image` tells what stands in the bucket under a key; it is asked once for each.
    """
    ask = cache(image)
    scenes: dict[str, Scene] = {}
    mistakes: list[Mistake] = []
    for each in staged:
        if isinstance(each, Mistake):
            mistakes.append(each)
            continue
        stored: dict[str, StoredImage] = {}
        for name, key in each.references.items():
            found = ask(key)
            if isinstance(found, StoredImage):
                stored[key] = found
            else:
                allowed = "a JPEG, PNG or WebP image in the same bucket"
                mistakes.append(each.values[name].mistake(f"{shown(key)} ({found.why})", allowed))
        if not mistakes:
            scenes[each.name] = each.scene(stored)
    return list(dict.fromkeys(mistakes))[:MAX_MISTAKES] or scenes


def jobs_of(
    photo: Photo, scenes: Mapping[str, Scene], path_template: str, now: datetime
) -> list[Job] | Reason:
    """The jobs of a photo as they are planned now, in the order of its scenes; or why there can be none."""
    if any(character < " " for character in photo.key):
        return Reason(code="InvalidKey", message="the photo's key contains control characters")
    try:
        jobs = [_job_of(photo, name, scene, path_template, now) for name, scene in scenes.items()]
    except UnknownPlaceholderError as error:
        # Of all names that a template may use, only the SKU's may be missing.
        message = f"the path template {path_template} wants {error.unknown}, and the key holds none"
        return Reason(code="NoSku", message=message)
    paths = paths_of(jobs)
    for path in paths:
        if len(path.encode()) > MAX_KEY_BYTES:
            message = f"the image's key would have more than {MAX_KEY_BYTES} bytes: {path}"
            return Reason(code="KeyTooLong", message=message)
        if paths.count(path) > 1:
            return path_taken(path, photo.key)
    return jobs


def paths_of(jobs: Sequence[Job]) -> list[str]:
    """All keys of the output bucket that one photo's jobs write to."""
    return [path for path in (*(job.image_key for job in jobs), jobs[0].manifest_key) if path]


def path_taken(path: str, owner: str) -> Reason:
    """That something of another photo, or another scene, lives where an image would go."""
    return Reason(code="PathTaken", message=f"{path} already belongs to the photo {owner}")


def _job_of(photo: Photo, scene_name: str, scene: Scene, path_template: str, now: datetime) -> Job:
    identity = job_id(photo, scene_name, scene.digest)
    return Job(
        job_id=identity,
        state=JobState.PLANNED,
        photo=photo,
        scene=scene_name,
        parameters=scene,
        seed=scene.seed_for(identity),
        image_key=image_key(path_template, photo, scene_name, scene.image_format),
        manifest_key=manifest_key(path_template, photo),
        created_at=now,
        updated_at=now,
        due_at=now + PLANNED_DUE,
    )


@dataclass(frozen=True)
class Planner:
    """The collaborators of a plan, and what the stack says of every photo."""

    photos: PhotoStore
    scenes: ScenesStore
    table: JobTable
    announcer: Announcer
    root: Root
    path_template: str
    sku_pattern: re.Pattern[str] | None
    now: Callable[[], datetime]

    def plan(self, found: Photo) -> list[str] | Job | NotAPhoto:
        """Plan what an upload asks for: ids of its jobs; or the ending of a photo that is never sent.

        Raises what AWS raises, PlanContendedError and EventNotTakenError: the message then comes again.
        """
        if is_scenes_key(found.key):
            return self._check_scenes_file(found)
        if not is_photo_key(found.key):
            return NotAPhoto("the name says so")
        try:
            layers = governing_layers(
                governing_keys(found.key, self.root.prefix), lambda key: self._scenes_file(found, key)
            )
        except WrongFileError as error:
            return self._reject_scenes(found, error.mistakes)
        ignoring = ignored_by(found.key, layers)
        if ignoring:
            return NotAPhoto(f"{ignoring.file} ignores it: {ignoring.path}")
        read = self.photos.read(found)
        match read:
            case Unusable(photo, reason):
                return self._end(photo, JobState.REJECTED, reason)
            case Overwritten():
                return self._end(found, JobState.SUPERSEDED, OVERWRITTEN)
        photo = read.photo.model_copy(update={"sku": sku_in(found.key, self.sku_pattern)})
        staged = stage(photo.key, photo.sku, self.root, layers, read.metadata)
        scenes = complete(staged, lambda key: self.scenes.image(photo, key))
        if isinstance(scenes, list):
            return self._reject_scenes(photo, scenes)
        return self._plan(photo, scenes)

    def _check_scenes_file(self, uploaded: Photo) -> NotAPhoto:
        """Tell at once of one that cannot be used, before any photo needs it."""
        found = self.scenes.uploaded_file(uploaded)
        if not isinstance(found, list):
            return NotAPhoto("it is a scenes file")
        self.announcer.bus.put(scenes_rejected_event(uploaded, found))
        return NotAPhoto(f"it is a scenes file that cannot be used: {told(found)}")

    def _scenes_file(self, photo: Photo, key: str) -> ScenesFile | None:
        found = self.scenes.scenes_file(photo, key)
        if isinstance(found, list):
            raise WrongFileError(found)
        return found

    def _plan(self, photo: Photo, scenes: Mapping[str, Scene]) -> list[str] | Job:
        jobs = jobs_of(photo, scenes, self.path_template, self.now())
        if isinstance(jobs, Reason):
            return self._end(photo, JobState.REJECTED, jobs)
        match self.table.plan(photo, jobs):
            case Planned(planned):
                return [job.job_id for job in planned]
            case PathOwned(path, owner):
                return self._end(photo, JobState.REJECTED, path_taken(path, owner))
            case NewerKnown():
                return self._end(photo, JobState.SUPERSEDED, NEWER_PHOTO)

    def _reject_scenes(self, photo: Photo, mistakes: Sequence[Mistake]) -> list[str] | Job:
        message = told(mistakes)[:MAX_REASON_CHARACTERS]
        return self._end(photo, JobState.REJECTED, Reason(code=INVALID_SCENE, message=message))

    def _end(self, photo: Photo, ending: JobState, reason: Reason) -> list[str] | Job:
        """A photo that is never sent: its record and its event, under an id of its own.

        Ids of its jobs if this upload was told of and planned before, when all was different.
        """
        planned_before = self.table.planned_for(photo)
        if planned_before:
            return planned_before
        now = self.now()
        ended = self.table.insert_ended(
            Job(
                job_id=upload_id(photo),
                state=ending,
                photo=photo,
                scene=DEFAULT_SCENE,
                parameters=None,
                image_key=None,
                created_at=now,
                updated_at=now,
                error=reason,
            )
        )
        if not ended.owes_event:
            # Found, and told before: told again, with the same id.
            self.announcer.tell(ended)
        return self.announcer.announce(ended)
