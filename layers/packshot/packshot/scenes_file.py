"""Scenes files: what a photo becomes, written by whoever owns the photos; and what is wrong with one.

`scenes.json` in a folder is for the photos in it and below, `sofa.jpg.scenes.json` for `sofa.jpg` beside it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from packshot import placeholders
from packshot.scene import (
    MAX_PROMPT_CHARACTERS,
    MAX_SEED,
    MAX_URL_CHARACTERS,
    AspectRatioParameter,
    Base64,
    ImageFormatParameter,
    LoraParameter,
    LoraUrl,
    Quality,
    Seed,
    https_only,
)

SCENES_FILE = "scenes.json"
SIDECAR_SUFFIX = ".scenes.json"
MAX_FILE_BYTES = 256 * 1024
MAX_MISTAKES = 20
# What the photo's own key tells.
OF_THE_KEY = ("folder", "stem", "sku")
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class Mistake:
    """Something that nobody can act on: where it stands, what was found there, and what is allowed.

    `path` is a JSON path, or the name of a parameter or of a metadata field.
    """

    file: str
    path: str
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.file}: {self.path}: found {self.found}; allowed: {self.allowed}"


def told(mistakes: Sequence[Mistake]) -> str:
    """All of them in one text."""
    return " | ".join(map(str, mistakes))


def is_reference_url(text: str) -> bool:
    """Whether an image that goes along is a URL; else it is a key in the bucket."""
    return "://" in text


def _template(text: str) -> str:
    placeholders.names_in(text)
    return text


def _reference(text: str) -> str:
    return _template(https_only(text) if is_reference_url(text) else text)


def _free_name(name: str) -> str:
    if name in OF_THE_KEY:
        raise ValueError(f"any name but {', '.join(OF_THE_KEY)}, which the photo's key gives")
    return name


PromptTemplate = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_PROMPT_CHARACTERS,
        pattern=r"\S",
        description="What becomes of the white background; {placeholders} stand for variables.",
    ),
    AfterValidator(_template),
]
ReferenceTemplate = Annotated[
    Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARACTERS), AfterValidator(_reference)] | None,
    Field(
        description="An image that goes along: an https:// URL, or a key in the same bucket, relative to"
        " the folder of this file; {placeholders} stand for variables."
    ),
]
VariableName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,63}$"), AfterValidator(_free_name)]
VariableValue = Annotated[str, Field(max_length=1000)]
SceneName = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


@with_config(ConfigDict(extra="forbid"))
class PartialScene(TypedDict, total=False):
    """Parameters of the model by their API names: those that are given."""

    prompt: PromptTemplate
    image_2: ReferenceTemplate
    image_3: ReferenceTemplate
    aspect_ratio: AspectRatioParameter
    image_format: ImageFormatParameter
    quality: Quality
    seed: Seed
    base64: Base64
    lora: LoraParameter
    lora_2_url: LoraUrl
    lora_3_url: LoraUrl


@with_config(ConfigDict(extra="forbid"))
class SceneEntry(PartialScene, total=False):
    """A scene: its parameters, and how many of it."""

    variations: Annotated[
        int,
        Field(ge=1, le=10, description="So many jobs, named with -1, -2, …; their seeds follow each other."),
    ]


class ScenesFile(BaseModel):
    """What `scenes.json` and `PHOTO.scenes.json` hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Packshot scenes file")

    schema_: Annotated[
        str | None, Field(alias="$schema", max_length=MAX_URL_CHARACTERS, description="For editors.")
    ] = None
    version: Annotated[Literal[1], Field(description="Of this format.")] = 1
    inherit: Annotated[
        bool, Field(description="Whether it adds to the next scenes file above, or stands alone.")
    ] = False
    ignore: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=200)]],
        Field(
            max_length=100,
            description="Photos to pass over, relative to the folder: * and ? within a name, ** for folders;"
            " a pattern without / is for names in any folder.",
        ),
    ] = []
    defaults: Annotated[PartialScene, Field(description="For every scene that does not say otherwise.")] = {}
    variables: Annotated[
        dict[VariableName, VariableValue],
        Field(max_length=100, description="What {placeholders} stand for."),
    ] = {}
    scenes: Annotated[
        dict[SceneName, SceneEntry],
        Field(
            max_length=100, description="By name. One of the same name above is replaced. None: `default`."
        ),
    ] = {}


PARAMETERS: Mapping[str, Any] = TypeAdapter(PartialScene).json_schema()["properties"]
_SCENES_FILE_NAMES = [field.alias or name for name, field in ScenesFile.model_fields.items()]
_SCENE_NAMES = [*PARAMETERS, "variations"]


def is_scenes_key(key: str) -> bool:
    """Whether a key names a scenes file. One in a hidden folder, or in one that begins with `_`, is none."""
    *folders, name = key.split("/")
    governs = name == SCENES_FILE or (name.endswith(SIDECAR_SUFFIX) and not name.startswith((".", "_")))
    return governs and not any(part.startswith((".", "_")) for part in folders)


def read_scenes_file(key: str, data: bytes) -> ScenesFile | list[Mistake]:
    """The file, or everything that is wrong with it: at most MAX_MISTAKES."""
    if len(data) > MAX_FILE_BYTES:
        return [Mistake(key, "$", f"{len(data)} bytes", f"at most {MAX_FILE_BYTES}")]
    try:
        text = data.decode("utf-8-sig")
        document = json.loads(text, object_pairs_hook=_Object, parse_constant=_no_number)
        mistakes = list(_said_twice(key, document, ()))
    except UnicodeDecodeError:
        return [Mistake(key, "$", "bytes that are not UTF-8", "a text file in UTF-8")]
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        return [Mistake(key, "$", f"no JSON at {where} ({error.msg})", "JSON without comments")]
    except (RecursionError, ValueError) as error:
        return [Mistake(key, "$", shown(str(error)), "JSON of a reasonable size and depth")]
    if mistakes:
        return mistakes[:MAX_MISTAKES]
    try:
        file = ScenesFile.model_validate(document, strict=True)
    except ValidationError as error:
        return [_mistake(key, problem) for problem in error.errors(include_url=False)[:MAX_MISTAKES]]
    return _mistakes_between(key, file)[:MAX_MISTAKES] or file


def job_names(scenes: Mapping[str, int | None]) -> dict[str, list[str]]:
    """The names of each scene's jobs, from its number of variations."""
    return {
        name: [name] if variations is None else [f"{name}-{number}" for number in range(1, variations + 1)]
        for name, variations in scenes.items()
    }


def collisions(scenes: Mapping[str, int | None]) -> Iterator[tuple[str, str]]:
    """Scenes two of whose jobs would have the same name: each as (the scene, the name)."""
    owners: dict[str, str] = {}
    for scene, names in job_names(scenes).items():
        for name in names:
            if owners.setdefault(name, scene) != scene:
                yield scene, name


def json_path(steps: Sequence[str | int]) -> str:
    """A JSON path from the root: `$.scenes.beach.quality`."""
    return "$" + "".join(
        f"[{step}]"
        if isinstance(step, int)
        else f".{step}"
        if re.fullmatch(r"[A-Za-z_$][\w$-]{0,63}", step, re.ASCII)
        else f"[{shown(step)}]"
        for step in steps
    )


def shown(value: Any) -> str:
    """A value that nobody chose, as a record can hold it: JSON, in ASCII, and not long."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(repr(type(value)))
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def allowed_for(parameter: str, problem: Any) -> str:
    """What a parameter takes, in words, where pydantic has found another value."""
    return str(problem["ctx"]["error"]) if problem["type"] == "value_error" else allowed_values(parameter)


def allowed_values(parameter: str) -> str:
    """What a parameter takes, in words, from its schema."""
    schema = PARAMETERS[parameter]
    for one in schema.get("anyOf", []):
        if one.get("type") != "null":
            schema = {**schema, **one}
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if schema["type"] == "integer":
        return f"an integer from {schema['minimum']} to {schema['maximum']}"
    if schema["type"] == "boolean":
        return "true or false"
    return f"a text of 1 to {schema['maxLength']} characters"


class _Object(dict[str, Any]):
    """A JSON object that knows which of its names stood in it twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        names = [name for name, _ in pairs]
        self.twice = (
            sorted({name for name in names if names.count(name) > 1}) if len(self) < len(pairs) else []
        )


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _said_twice(key: str, value: Any, steps: tuple[str | int, ...]) -> Iterator[Mistake]:
    if isinstance(value, _Object):
        for name in value.twice:
            yield Mistake(key, json_path((*steps, name)), "the name twice", "each name once")
        for name, inner in value.items():
            yield from _said_twice(key, inner, (*steps, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _said_twice(key, inner, (*steps, index))


def _mistake(key: str, problem: Any) -> Mistake:
    steps = [step for step in problem["loc"] if step != "[key]"]
    return Mistake(key, json_path(steps), shown(problem["input"]), _allowed(steps, problem))


def _allowed(steps: Sequence[str | int], problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        known = {0: _SCENES_FILE_NAMES, 1: list(PARAMETERS)}.get(len(steps) - 1, _SCENE_NAMES)
        return _known(str(steps[-1]), known)
    if "[key]" in problem["loc"]:
        if problem["type"] == "value_error":
            return str(problem["ctx"]["error"])
        kinds = {"scenes": "letters, digits, - and _", "variables": "lower-case letters, digits and _"}
        return f"a name of {kinds[str(steps[0])]}, 1 to 64 characters"
    if len(steps) > 1 and steps[-1] in PARAMETERS:
        return allowed_for(str(steps[-1]), problem)
    if not steps:
        return "a JSON object"
    return str(problem["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")


def _known(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, 1)
    return f"the names {', '.join(names)}" + (f" (perhaps {close[0]})" if close else "")


def _mistakes_between(key: str, file: ScenesFile) -> list[Mistake]:
    """What is wrong between values each of which is right."""
    mistakes = [
        Mistake(key, json_path(["scenes", scene]), f"the name {name} a second time", "each name once")
        for scene, name in collisions({name: each.get("variations") for name, each in file.scenes.items()})
    ]
    for name, entry in file.scenes.items():
        seed, variations = entry.get("seed"), entry.get("variations") or 1
        if seed is not None and seed + variations - 1 > MAX_SEED:
            path = json_path(["scenes", name, "seed"])
            allowed = f"at most {MAX_SEED - variations + 1}, for its {variations} variations"
            mistakes.append(Mistake(key, path, str(seed), allowed))
    return mistakes
