"""From an upload to planned jobs: what it is, which scenes it asks for, and where their images will go."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

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


class _WrongFileError(Exception):
    """A scenes file that has a say in a photo cannot be used."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__(told(mistakes))
        self.mistakes = mistakes


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
        except _WrongFileError as error:
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
        if any(character < " " for character in photo.key):
            message = "the photo's key contains control characters"
            return self._end(photo, JobState.REJECTED, Reason(code="InvalidKey", message=message))
        staged = stage(photo.key, photo.sku, self.root, layers, read.metadata)
        scenes = self._with_references(photo, staged)
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
            raise _WrongFileError(found)
        return found

    def _with_references(
        self, photo: Photo, staged: Sequence[StagedScene] | Sequence[Mistake]
    ) -> dict[str, Scene] | list[Mistake]:
        """The scenes by name, with the images of the bucket that go along; or what is wrong."""
        scenes: dict[str, Scene] = {}
        mistakes: list[Mistake] = []
        stored: dict[str, StoredImage | NoImage] = {}
        for each in staged:
            if isinstance(each, Mistake):
                mistakes.append(each)
                continue
            for name, key in each.references.items():
                found = stored[key] = stored.get(key) or self.scenes.image(photo, key)
                if isinstance(found, NoImage):
                    allowed = "a JPEG, PNG or WebP image in the same bucket"
                    mistakes.append(each.values[name].mistake(f"{shown(key)} ({found.why})", allowed))
            if not mistakes:
                images = {key: image for key, image in stored.items() if isinstance(image, StoredImage)}
                scenes[each.name] = each.scene(images)
        return list(dict.fromkeys(mistakes))[:MAX_MISTAKES] or scenes

    def _plan(self, photo: Photo, scenes: dict[str, Scene]) -> list[str] | Job:
        try:
            jobs = [self._planned(photo, name, scene) for name, scene in scenes.items()]
        except UnknownPlaceholderError as error:
            # Of all names that a template may use, only the SKU's may be missing.
            message = f"the path template {self.path_template} wants {error.unknown}, and the key holds none"
            return self._end(photo, JobState.REJECTED, Reason(code="NoSku", message=message))
        paths = [*(job.image_key or "" for job in jobs), jobs[0].manifest_key or ""]
        for path in paths:
            if len(path.encode()) > MAX_KEY_BYTES:
                message = f"the image's key would have more than {MAX_KEY_BYTES} bytes: {path}"
                return self._end(photo, JobState.REJECTED, Reason(code="KeyTooLong", message=message))
            if paths.count(path) > 1:
                message = f"two images, or an image and the manifest, would go to {path}"
                return self._end(photo, JobState.REJECTED, Reason(code="PathTaken", message=message))
        match self.table.plan(photo, jobs):
            case Planned(planned):
                return [job.job_id for job in planned]
            case PathOwned(path, owner):
                message = f"{path} already belongs to the photo {owner}"
                return self._end(photo, JobState.REJECTED, Reason(code="PathTaken", message=message))
            case NewerKnown():
                return self._end(photo, JobState.SUPERSEDED, NEWER_PHOTO)

    def _planned(self, photo: Photo, scene_name: str, scene: Scene) -> Job:
        now = self.now()
        identity = job_id(photo, scene_name, scene.digest)
        return Job(
            job_id=identity,
            state=JobState.PLANNED,
            photo=photo,
            scene=scene_name,
            parameters=scene,
            seed=scene.seed_for(identity),
            image_key=image_key(self.path_template, photo, scene_name, scene.image_format),
            manifest_key=manifest_key(self.path_template, photo),
            created_at=now,
            updated_at=now,
            due_at=now + PLANNED_DUE,
        )

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
