"""Scenes: every parameter of the model, by its API name, and the overrides a photo may carry.

Types, bounds and defaults are those of Segmind's page for qwen-image-edit-plus-product-photography.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from email.errors import MessageError
from email.header import decode_header, make_header
from typing import Annotated, Any, Literal, get_args
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

MODEL = "qwen-image-edit-plus-product-photography"
DEFAULT_SCENE = "default"
OVERRIDE_PREFIX = "packshot-"
MAX_SEED = 2_147_483_647

AspectRatio = Literal[
    "match_input_image", "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"
]
ImageFormat = Literal["jpeg", "png", "webp"]
Lora = Literal["product_photography"]

EXTENSIONS: dict[ImageFormat, str] = {"jpeg": "jpg", "png": "png", "webp": "webp"}
CONTENT_TYPES: dict[ImageFormat, str] = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
ASPECT_RATIOS: tuple[str, ...] = get_args(AspectRatio)
IMAGE_FORMATS: tuple[str, ...] = get_args(ImageFormat)


def _https_only(url: str) -> str:
    if not url.startswith("https://"):
        raise ValueError("must be an https:// URL")
    return url


HttpsUrl = Annotated[str, Field(min_length=9, max_length=2048), AfterValidator(_https_only)]


class Scene(BaseModel):
    """How a product is staged: the model's parameters, all but the photo itself (`image_1`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Annotated[
        str,
        Field(min_length=1, max_length=5000, description="Text prompt describing the desired image edit."),
    ]
    image_2: Annotated[HttpsUrl | None, Field(description="Secondary input image.")] = None
    image_3: Annotated[HttpsUrl | None, Field(description="Tertiary input image.")] = None
    aspect_ratio: Annotated[AspectRatio, Field(description="Output image aspect ratio.")] = (
        "match_input_image"
    )
    image_format: Annotated[ImageFormat, Field(description="Output image format.")] = "webp"
    quality: Annotated[int, Field(ge=1, le=100, description="Output image quality.")] = 95
    seed: Annotated[
        int | None,
        Field(
            ge=-1,
            le=MAX_SEED,
            description="Seed; -1 or nothing draws one from the job id, so it can be repeated.",
        ),
    ] = None
    base64: Annotated[bool, Field(description="Return the image as base64 text instead of a URL.")] = False
    lora: Annotated[Lora, Field(description="Pre-configured LoRA model.")] = "product_photography"
    lora_2_url: Annotated[HttpsUrl | None, Field(description="Additional LoRA model: a public URL.")] = None
    lora_3_url: Annotated[HttpsUrl | None, Field(description="Additional LoRA model: a public URL.")] = None

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the parameters: the same for the same scene, however its defaults were spelled."""
        parameters = {**self.model_dump(), "seed": None if self.seed == -1 else self.seed}
        return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()

    def seed_for(self, job_id: str) -> int:
        """The seed to send: the scene's own, or one drawn from the job id (hex), 0..2147483647."""
        if self.seed is not None and self.seed >= 0:
            return self.seed
        return int(job_id[:8], 16) & MAX_SEED

    def request(self, image_1: str, seed: int) -> SceneRequest:
        """The complete request for one photo; `image_1` is a URL or base64."""
        return SceneRequest.model_validate({**self.model_dump(), "image_1": image_1, "seed": seed})


class SceneRequest(Scene):
    """The body of a request to the model: a scene and the photo it is for."""

    image_1: Annotated[str, Field(min_length=1, repr=False, description="Primary input image.")]

    def body(self) -> dict[str, Any]:
        """The bare JSON parameters; what has no value is left out."""
        return self.model_dump(exclude_none=True)


OVERRIDABLE = ("prompt", "aspect_ratio", "image_format", "quality", "seed")


class InvalidSceneError(ValueError):
    """A scene that the model would not accept: the message names the field, the value and the rule."""


def scene_with_overrides(root: Scene, metadata: Mapping[str, str]) -> Scene:
    """The stack's scene with what the photo's user metadata (`packshot-*`) says instead, per field.

    Values may be plain ASCII, RFC 2047 encoded words or percent-encoded UTF-8.
    Raises InvalidSceneError on an unknown name, an undecodable or an inadmissible value.
    """
    overrides: dict[str, str] = {}
    for given_name, value in sorted(metadata.items()):
        name = given_name.casefold()
        if not name.startswith(OVERRIDE_PREFIX):
            continue
        field = name.removeprefix(OVERRIDE_PREFIX).replace("-", "_")
        if field not in OVERRIDABLE:
            known = ", ".join(_metadata_name(field) for field in OVERRIDABLE)
            raise InvalidSceneError(f"{_shown(name)}: no such override; known are {known}")
        overrides[field] = _decode(name, value)
    return _validated({**root.model_dump(), **overrides})


def _validated(values: dict[str, Any]) -> Scene:
    try:
        return Scene.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        found = str(first["input"])[:200]
        field = str(first["loc"][0])
        raise InvalidSceneError(f"{_metadata_name(field)}: found {found!r}: {first['msg']}") from error


def _shown(name: str) -> str:
    """A name that nobody chose, as a record can hold it."""
    return name[:200].encode("ascii", "backslashreplace").decode()


def _metadata_name(field: str) -> str:
    return OVERRIDE_PREFIX + field.replace("_", "-")


_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=")


def _decode(name: str, value: str) -> str:
    try:
        if _ENCODED_WORD.search(value):
            return str(make_header(decode_header(value)))
        return unquote(value, errors="strict")
    except (LookupError, MessageError, ValueError) as error:
        raise InvalidSceneError(f"{name}: neither RFC 2047 nor percent-encoded UTF-8") from error
