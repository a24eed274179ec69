"""The model's parameters as its page gives them: types, bounds, allowed values, defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

AspectRatio = Literal[
    "match_input_image", "1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"
]
LoraUrl = Annotated[str, Field(pattern=r"^https?://")]


class ParameterError(Exception):
    """A body that the model page forbids; the text names each parameter and what is wrong with it."""


class Parameters(BaseModel):
    """One request's parameters, complete. A photo is a URL, a data URI or bare base64."""

    model_config = ConfigDict(strict=True, frozen=True)

    prompt: Annotated[str, Field(pattern=r"\S")]
    image_1: str | None = None
    image_2: str | None = None
    image_3: str | None = None
    lora: Literal["product_photography"] = "product_photography"
    lora_2_url: LoraUrl | None = None
    lora_3_url: LoraUrl | None = None
    aspect_ratio: AspectRatio = "match_input_image"
    seed: Annotated[int, Field(ge=-1, le=2147483647)] | None = None
    image_format: Literal["jpeg", "png", "webp"] = "webp"
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    base64: bool = False

    @property
    def photos(self) -> dict[str, str]:
        """The photos that were given, by the parameter's name."""
        given = {"image_1": self.image_1, "image_2": self.image_2, "image_3": self.image_3}
        return {name: photo for name, photo in given.items() if photo is not None}


def read_parameters(body: Mapping[str, Any], *, reject_unknown: bool) -> Parameters:
    """Check a body against the model page; raises ParameterError."""
    unknown = sorted(body.keys() - Parameters.model_fields.keys())
    if unknown and reject_unknown:
        raise ParameterError(f"Unknown parameter: {', '.join(unknown)}")
    try:
        return Parameters.model_validate(body)
    except ValidationError as error:
        raise ParameterError(problems(error)) from None


def problems(error: ValidationError) -> str:
    """What is wrong, in one line, without the values: `quality: Input should be a valid integer`."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" if problem["loc"] else problem["msg"]
        for problem in found
    )
