"""Scenes: every parameter of the model, by its API name.

Types, bounds and defaults are those of Segmind's page for qwen-image-edit-plus-product-photography.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

DEFAULT_SCENE = "default"
MAX_SEED = 2_147_483_647
MAX_PROMPT_CHARACTERS = 5000
MAX_URL_CHARACTERS = 2048
# A URL, but for its scheme: something that has no white space, and a host.
_URL = re.compile(r"[^\s/?#]+(?:[/?#]\S*)?")

AspectRatio = Literal[
    "match_input_image", "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"
]
ImageFormat = Literal["jpeg", "png", "webp"]
Lora = Literal["product_photography"]

EXTENSIONS: dict[ImageFormat, str] = {"jpeg": "jpg", "png": "png", "webp": "webp"}
CONTENT_TYPES: dict[ImageFormat, str] = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
ASPECT_RATIOS: tuple[str, ...] = get_args(AspectRatio)
IMAGE_FORMATS: tuple[str, ...] = get_args(ImageFormat)
# The parameters that may also be images of the input bucket.
REFERENCES = ("image_2", "image_3")


def https_only(url: str) -> str:
    """The URL as it is. Raises ValueError when it is none, or of another scheme."""
    scheme, _, rest = url.partition("://")
    if scheme != "https" or not _URL.fullmatch(rest):
        raise ValueError("an https:// URL")
    return url


HttpsUrl = Annotated[
    str,
    # For whoever reads the schema; the validator says it in words.
    Field(max_length=MAX_URL_CHARACTERS, json_schema_extra={"pattern": f"^https://{_URL.pattern}$"}),
    AfterValidator(https_only),
]

# The parameters, for all that is made of them: scenes, requests, and what a scenes file may hold.
Prompt = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_PROMPT_CHARACTERS,
        pattern=r"\S",
        description="Text prompt describing the desired image edit.",
    ),
]
AspectRatioParameter = Annotated[AspectRatio, Field(description="Output image aspect ratio.")]
ImageFormatParameter = Annotated[ImageFormat, Field(description="Output image format.")]
Quality = Annotated[int, Field(ge=1, le=100, description="Output image quality.")]
Seed = Annotated[
    int | None,
    Field(
        ge=-1,
        le=MAX_SEED,
        description="Seed; -1 or nothing draws one from the job id, so it can be repeated.",
    ),
]
Base64 = Annotated[bool, Field(description="Return the image as base64 text instead of a URL.")]
LoraParameter = Annotated[Lora, Field(description="Pre-configured LoRA model.")]
LoraUrl = Annotated[HttpsUrl | None, Field(description="Additional LoRA model: a public URL.")]


class StoredImage(BaseModel):
    """An image of the input bucket that goes along with a photo, as it was when the photo was planned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    version_id: str | None = None
    etag: str | None = None
    sha256: str


Reference = HttpsUrl | StoredImage


class _Parameters(BaseModel):
    """What a scene and a request have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Prompt
    aspect_ratio: AspectRatioParameter = "match_input_image"
    image_format: ImageFormatParameter = "webp"
    quality: Quality = 95
    seed: Seed = None
    base64: Base64 = False
    lora: LoraParameter = "product_photography"
    lora_2_url: LoraUrl = None
    lora_3_url: LoraUrl = None


class Scene(_Parameters):
    """How a product is staged: the model's parameters, all but the photo itself (`image_1`)."""

    image_2: Annotated[Reference | None, Field(description="Secondary input image.")] = None
    image_3: Annotated[Reference | None, Field(description="Tertiary input image.")] = None

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the parameters: the same for the same scene, however its defaults were spelled.

        A stored image counts by its key and its bytes.
        """
        parameters = {**self.model_dump(), "seed": None if self.seed == -1 else self.seed}
        for name, stored in self.stored_images.items():
            parameters[name] = [stored.key, stored.sha256]
        return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()

    @property
    def stored_images(self) -> dict[str, StoredImage]:
        """The images of the input bucket that go along, by their parameter."""
        given = {name: getattr(self, name) for name in REFERENCES}
        return {name: image for name, image in given.items() if isinstance(image, StoredImage)}

    def seed_for(self, job_id: str) -> int:
        """The seed to send: the scene's own, or one drawn from the job id (hex), 0..2147483647."""
        if self.seed is not None and self.seed >= 0:
            return self.seed
        return int(job_id[:8], 16) & MAX_SEED

    def request(self, image_1: str, seed: int, **stored: str) -> SceneRequest:
        """The complete request for one photo; it and each stored image, by parameter, is a URL or base64."""
        images = {"image_1": image_1, **stored}
        return SceneRequest.model_validate({**self.model_dump(), "seed": seed, **images})


class SceneRequest(_Parameters):
    """The body of a request to the model: a scene and the photo it is for. Images are URLs or base64."""

    image_1: Annotated[str, Field(min_length=1, repr=False, description="Primary input image.")]
    image_2: Annotated[str | None, Field(min_length=1, repr=False, description="Secondary input image.")] = (
        None
    )
    image_3: Annotated[str | None, Field(min_length=1, repr=False, description="Tertiary input image.")] = (
        None
    )

    def body(self) -> dict[str, Any]:
        """The bare JSON parameters; what has no value is left out."""
        return self.model_dump(exclude_none=True)
