"""Scenes files: what a photo becomes, written by whoever owns the photos; and what is wrong with one.

`scenes.json` in a folder is for the photos in it and below, `sofa.jpg.scenes.json` for `sofa.jpg` beside it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    with_config,
)
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
# What matches nothing, though it does in other programs: !x, ./x, ../x, {a,b}, and a [ without its ].
IGNORE_PATTERN = r"^(?!!)(?!(.*/)?\.{1,2}(/|$))(?!.*\[[^\]]*$)[^{}]+$"
_SHOWN_CHARACTERS = 100
_PATH_CHARACTERS = 300


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


def checked_reference(text: str) -> str:
    """An image that goes along, as it is. Raises ValueError where it is too long, or no URL with https."""
    if len(text) > MAX_URL_CHARACTERS:
        raise ValueError(f"a text of 1 to {MAX_URL_CHARACTERS} characters")
    try:
        return https_only(text) if is_reference_url(text) else text
    except ValueError as error:
        raise ValueError(f"{error}, or a key in the same bucket") from None


def _reference(text: str) -> str:
    return _template(checked_reference(text))


def _plain(url: str | None) -> str | None:
    if url is not None and ("{" in url or "}" in url):
        raise ValueError("an https:// URL, without placeholders")
    return url


def _ignore_pattern(pattern: str) -> str:
    if not re.match(IGNORE_PATTERN, pattern):
        raise ValueError("a pattern of *, ?, [ab] and **, without a leading ! or ./ and without { }")
    return pattern


def _version(version: Any) -> Any:
    # Python takes true for 1.
    if isinstance(version, bool):
        raise ValueError("1")
    return version


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
    Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_URL_CHARACTERS,
            json_schema_extra={"pattern": "^(https://|(?!.*://))"},
        ),
        AfterValidator(_reference),
    ]
    | None,
    Field(
        description="An image that goes along: an https:// URL, or a key in the same bucket, relative to"
        " the folder of this file; {placeholders} stand for variables."
    ),
]
PlainLoraUrl = Annotated[LoraUrl, AfterValidator(_plain)]
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
    lora_2_url: PlainLoraUrl
    lora_3_url: PlainLoraUrl


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
    version: Annotated[Literal[1], BeforeValidator(_version), Field(description="Of this format.")] = 1
    inherit: Annotated[
        bool, Field(description="Whether it adds to the next scenes file above, or stands alone.")
    ] = False
    ignore: Annotated[
        list[
            Annotated[
                str,
                Field(min_length=1, max_length=200, json_schema_extra={"pattern": IGNORE_PATTERN}),
                AfterValidator(_ignore_pattern),
            ]
        ],
        Field(
            max_length=100,
            description="Photos to pass over, relative to the folder: * and ? within a name, ** for folders;"
            " a pattern without / is for names in any folder.",
        ),
    ] = []
    defaults: Annotated[PartialScene, Field(description="For every scene that does not say otherwise.")] = {}
    variables: Annotated[
        dict[VariableName, VariableValue],
        Field(
            max_length=100,
            description="What {placeholders} stand for.",
            json_schema_extra={
                "additionalProperties": False,
                "propertyNames": {"not": {"enum": list(OF_THE_KEY)}},
            },
        ),
    ] = {}
    scenes: Annotated[
        dict[SceneName, SceneEntry],
        Field(
            max_length=100,
            description="By name. One of the same name above is replaced. None: `default`.",
            json_schema_extra={"additionalProperties": False},
        ),
    ] = {}


PARAMETERS: Mapping[str, Any] = TypeAdapter(PartialScene).json_schema()["properties"]
_SCHEMA: Mapping[str, Any] = ScenesFile.model_json_schema()


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
    except UnicodeDecodeError as error:
        found = f"something else at byte {error.start + 1}"
        return [Mistake(key, "$", found, "a text file in UTF-8")]
    except json.JSONDecodeError as error:
        found = f"no JSON at line {error.lineno}, column {error.colno} ({error.msg})"
        return [Mistake(key, "$", found, "JSON, without comments, and no comma after a last entry")]
    except _NoNumberError as error:
        return [Mistake(key, "$", str(error), "a number in digits")]
    except RecursionError:
        found = "hundreds of brackets in each other"
        return [Mistake(key, "$", found, "what a scenes file needs: four levels")]
    except ValueError:
        # Python's bound on integers, of all that can still be wrong.
        return [Mistake(key, "$", "a number of thousands of digits", f"numbers up to {MAX_SEED}")]
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


def a_second(name: str) -> tuple[str, str]:
    """Found and allowed, where a scene's job would have the name of another's."""
    return (
        f"a second job named {name}",
        "a name of its own for each job; variations are named SCENE-1, SCENE-2",
    )


def json_path(steps: Sequence[str | int]) -> str:
    """A JSON path from the root: `$.scenes.beach.quality`. One that no scenes file has is cut."""
    path = "$" + "".join(
        f"[{step}]"
        if isinstance(step, int)
        else f".{step}"
        if re.fullmatch(r"[A-Za-z_$][\w$-]{0,63}", step, re.ASCII)
        else f"[{shown(step)}]"
        for step in steps
    )
    return path if len(path) <= _PATH_CHARACTERS else path[:_PATH_CHARACTERS] + "…"


def shown(value: Any) -> str:
    """A value that nobody chose, as a record can hold it: JSON, in ASCII, and not long."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps(repr(type(value)))
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def found_in(problem: Any) -> str:
    """What pydantic has found wrong, in words."""
    error = problem.get("ctx", {}).get("error")
    return error.found if isinstance(error, placeholders.PlaceholderError) else shown(problem["input"])


def allowed_for(parameter: str, problem: Any) -> str:
    """What a parameter takes, in words, where pydantic has found another value."""
    return str(problem["ctx"]["error"]) if problem["type"] == "value_error" else allowed_values(parameter)


def allowed_values(parameter: str) -> str:
    """What a parameter takes, in words."""
    return _in_words(_not_null(PARAMETERS[parameter]))


def known_names(name: str, names: Sequence[str]) -> str:
    """The names that may be used where another one was, and which of them was perhaps meant."""
    close = difflib.get_close_matches(name, names, 1)
    return f"the names {', '.join(names)}" + (f" (perhaps {close[0]})" if close else "")


class _Object(dict[str, Any]):
    """A JSON object that knows which of its names stood in it twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        times = Counter(name for name, _ in pairs)
        self.twice = sorted(name for name, count in times.items() if count > 1)


class _NoNumberError(ValueError):
    """JSON has no such number, though many programs write it."""


def _no_number(name: str) -> Any:
    raise _NoNumberError(name)


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
    *steps, last = problem["loc"] or [None]
    if problem["type"] == "extra_forbidden":
        names = list(_schema_at(steps)["properties"])
        path = json_path([*steps, last])
        return Mistake(key, path, f"the unknown name {shown(last)}", known_names(last, names))
    if len(steps) == 2 and last == "[key]":
        return Mistake(key, json_path(steps), shown(problem["input"]), _allowed_name(steps[0], problem))
    steps = list(problem["loc"])
    if problem["type"] == "value_error":
        allowed = str(problem["ctx"]["error"])
    elif problem["type"] == "string_unicode":
        allowed = "text without halves of characters (\\ud800 to \\udfff)"
    else:
        schema = _schema_at(steps)
        quoted = isinstance(problem["input"], str) and schema["type"] in {"integer", "boolean"}
        allowed = _in_words(schema) + (", without quotes" if quoted else "")
    return Mistake(key, json_path(steps), found_in(problem), allowed)


def _allowed_name(of: str, problem: Any) -> str:
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    if of == "scenes":
        return "a name of 1 to 64 letters (A to Z, a to z), digits, - and _, the first a letter or digit"
    return "a name of 1 to 64 lower-case letters (a to z), digits and _, the first a letter"


def _schema_at(steps: Sequence[str | int]) -> Mapping[str, Any]:
    """The part of the format's schema that speaks of a place."""
    schema = _SCHEMA
    for step in steps:
        if isinstance(step, int):
            schema = schema["items"]
        elif step in schema.get("properties", {}):
            schema = schema["properties"][step]
        else:
            (schema,) = schema["patternProperties"].values()
        if "$ref" in schema:
            schema = _SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    return _not_null(schema)


def _not_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What may stand where null may stand as well."""
    for one in schema.get("anyOf", []):
        if one.get("type") != "null":
            schema = {**schema, **one}
    return schema


def _in_words(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    match schema["type"]:
        case "integer":
            return f"a whole number from {schema['minimum']} to {schema['maximum']}"
        case "boolean":
            return "true or false"
        case "string":
            return f"a text of {schema.get('minLength', 0)} to {schema['maxLength']} characters"
        case "array":
            return f"a list, [ ], of at most {schema['maxItems']} texts"
    entries = f" of at most {schema['maxProperties']} entries" if "maxProperties" in schema else ""
    return "a JSON object, { }" + (f",{entries}" if entries else "")


def _mistakes_between(key: str, file: ScenesFile) -> list[Mistake]:
    """What is wrong between values each of which is right."""
    mistakes = [
        Mistake(key, json_path(["scenes", scene]), *a_second(name))
        for scene, name in collisions({name: each.get("variations") for name, each in file.scenes.items()})
    ]
    for name, entry in file.scenes.items():
        seed, variations = entry.get("seed"), entry.get("variations") or 1
        if seed is not None and seed + variations - 1 > MAX_SEED:
            path = json_path(["scenes", name, "seed"])
            allowed = f"at most {MAX_SEED - variations + 1}, for its {variations} variations"
            mistakes.append(Mistake(key, path, str(seed), allowed))
    return mistakes
