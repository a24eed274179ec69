"""A photo's scene as its metadata change it, where no scenes file has a say."""

from __future__ import annotations

from collections.abc import Mapping

from packshot.scene import Scene
from packshot.scenes_file import Mistake, told
from packshot.staging import Root, StagedScene, stack_values, stage


class RefusedError(Exception):
    """The metadata make no scene; the message has all mistakes."""


def scene_with_overrides(root: Scene, metadata: Mapping[str, str]) -> Scene:
    """The one scene of `shoes/red.jpg`, without the images of the bucket that its metadata name."""
    staged = stage("shoes/red.jpg", None, Root(stack_values(root), max_jobs=20), [], metadata)
    (scene, *_) = staged
    if isinstance(scene, Mistake):
        raise RefusedError(told([each for each in staged if isinstance(each, Mistake)]))
    assert isinstance(scene, StagedScene)
    return Scene.model_validate(
        {name: value.value for name, value in scene.values.items() if name not in scene.references}
    )
