"""How a photo is staged: which files say so, in which order, and what comes of it. Values know their source.

From the weakest to the strongest: the stack's parameters; the scenes files of the folders, the nearest one
last, each of which replaces those above it or adds to them; the photo's own scenes file; its metadata.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from email.errors import MessageError
from email.header import decode_header, make_header
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from pydantic import TypeAdapter, ValidationError

from packshot import placeholders
from packshot.photo import MAX_KEY_BYTES, folder_of, stem_of
from packshot.scene import (
    DEFAULT_SCENE,
    MAX_PROMPT_CHARACTERS,
    MAX_SEED,
    REFERENCES,
    Scene,
    StoredImage,
)
from packshot.scenes_file import (
    MAX_MISTAKES,
    OF_THE_KEY,
    PARAMETERS,
    SCENES_FILE,
    SIDECAR_SUFFIX,
    Mistake,
    PartialScene,
    ScenesFile,
    a_second,
    allowed_for,
    allowed_values,
    checked_reference,
    collisions,
    found_in,
    is_reference_url,
    job_names,
    json_path,
    known_names,
    shown,
)

OVERRIDE_PREFIX = "packshot-"
VARIABLE_PREFIX = "packshot-var-"
METADATA = "the photo's metadata"
STACK = "the stack"
KEY = "the photo's key"


@dataclass(frozen=True)
class Source:
    """Where a value stands: a file's key and the JSON path in it, or a name in the metadata or the stack.

    Keys in the value are relative to `folder`.
    """

    file: str
    path: str
    folder: str = ""


@dataclass(frozen=True)
class Value:
    """A value and its source."""

    value: Any
    source: Source

    def mistake(self, found: str, allowed: str) -> Mistake:
        """What is wrong with it."""
        return Mistake(self.source.file, self.source.path, found, allowed)


Values = Mapping[str, Value]


@dataclass(frozen=True)
class Layer:
    """A scenes file that has a say in a photo, and its key."""

    key: str
    file: ScenesFile


@dataclass(frozen=True)
class StagedScene:
    """One job's scene, before the bucket was asked for the images that go along.

    `values` are all parameters as they are sent; `references` the keys among them, by parameter; `words` what
    the placeholders in them stand for.
    """

    name: str
    values: Values
    references: Mapping[str, str]
    words: Values

    def scene(self, stored: Mapping[str, StoredImage]) -> Scene:
        """The scene, with what stands in the bucket under each of its references."""
        plain = {name: value.value for name, value in self.values.items()}
        return Scene.model_validate({**plain, **{name: stored[key] for name, key in self.references.items()}})


@dataclass(frozen=True)
class Root:
    """What the stack says of every photo: its values, and what one photo may ask for at most.

    Its functions may read only keys that begin with `prefix`.
    """

    values: Values
    max_jobs: int
    prefix: str = ""


def stack_values(scene: Scene) -> Values:
    """The stack's scene, each value under the name of its parameter of the stack."""
    return {
        name: Value(getattr(scene, name), Source(STACK, "Scene" + "".join(map(str.title, name.split("_")))))
        for name in Scene.model_fields
    }


def governing_keys(photo_key: str, prefix: str = "") -> list[str]:
    """The keys of all scenes files that may have a say in a photo, the strongest first."""
    folders = photo_key.split("/")[:-1]
    above = ["/".join([*folders[:depth], SCENES_FILE]) for depth in range(len(folders), -1, -1)]
    return [key for key in [photo_key + SIDECAR_SUFFIX, *above] if key.startswith(prefix)]


def governing_layers(keys: Sequence[str], read: Callable[[str], ScenesFile | None]) -> list[Layer]:
    """The scenes files that do have a say, the strongest first; `read` tells what stands under a key.

    None is read beyond the first that stands alone.
    """
    layers = []
    for key in keys:
        file = read(key)
        if file is not None:
            layers.append(Layer(key, file))
            if not file.inherit:
                break
    return layers


def ignored_by(photo_key: str, layers: Sequence[Layer]) -> Source | None:
    """Where a scenes file says that this is no photo, if one does."""
    for pattern in _merged(layers).ignore:
        if _matches(pattern.value, pattern.source.folder, photo_key):
            return pattern.source
    return None


def stage(
    photo_key: str, sku: str | None, root: Root, layers: Sequence[Layer], metadata: Mapping[str, str]
) -> list[StagedScene] | list[Mistake]:
    """The scenes of a photo, one for each job and at least one; or every mistake (a few at most).

    `layers` are those that have a say, the strongest first.
    """
    said = _merged(layers)
    overrides, variables, mistakes = _read_metadata(photo_key, metadata)
    if mistakes:
        return mistakes[:MAX_MISTAKES]
    scenes = {
        name: {**root.values, **said.defaults, **values, **overrides}
        for name, values in (said.scenes or {DEFAULT_SCENE: {}}).items()
    }
    mistakes = list(_mistakes_between(scenes, said, root.max_jobs))
    if mistakes:
        return mistakes[:MAX_MISTAKES]
    words = {**said.variables, **variables, **_words_of(photo_key, sku)}
    staged: list[StagedScene] = []
    for name, values in scenes.items():
        filled, wrong = _filled(StagedScene(name, values, {}, words), root.prefix)
        mistakes += wrong
        staged += _variations(filled)
    return list(dict.fromkeys(mistakes))[:MAX_MISTAKES] or staged


@dataclass(frozen=True)
class _Said:
    """What all layers say together. `named_in` is the nearest file that names scenes."""

    defaults: Values
    variables: Values
    scenes: Mapping[str, Values]
    named_at: Mapping[str, Source]
    ignore: Sequence[Value]
    named_in: str


def _merged(layers: Sequence[Layer]) -> _Said:
    defaults: dict[str, Value] = {}
    variables: dict[str, Value] = {}
    scenes: dict[str, Values] = {}
    named_at: dict[str, Source] = {}
    ignore: list[Value] = []
    named_in = STACK
    for layer in reversed(layers):
        file = layer.file
        defaults |= _values(layer, file.defaults, "defaults")
        variables |= _values(layer, file.variables, "variables")
        scenes |= {name: _values(layer, entry, "scenes", name) for name, entry in file.scenes.items()}
        named_at |= {name: value.source for name, value in _values(layer, file.scenes, "scenes").items()}
        ignore += _values(layer, dict(enumerate(file.ignore)), "ignore").values()
        named_in = layer.key if file.scenes else named_in
    return _Said(defaults, variables, scenes, named_at, ignore, named_in)


def _values(layer: Layer, given: Mapping[Any, Any], *steps: str) -> dict[Any, Value]:
    folder = folder_of(layer.key)
    return {
        name: Value(value, Source(layer.key, json_path([*steps, name]), folder))
        for name, value in given.items()
    }


def _mistakes_between(scenes: Mapping[str, Values], said: _Said, max_jobs: int) -> Iterator[Mistake]:
    variations = {
        name: values["variations"].value for name, values in scenes.items() if "variations" in values
    }
    counts = {name: variations.get(name) for name in scenes}
    for scene, name in collisions(counts):
        place = said.named_at[scene]
        yield Mistake(place.file, place.path, *a_second(name))
    jobs = sum(len(names) for names in job_names(counts).values())
    if jobs > max_jobs:
        allowed = f"at most {max_jobs} for one photo, variations counted (MaxJobsPerPhoto)"
        yield Mistake(said.named_in, "$.scenes", f"{jobs} jobs", allowed)
    for name, values in scenes.items():
        seed, more = values["seed"], (counts[name] or 1) - 1
        if seed.value is not None and seed.value + more > MAX_SEED:
            allowed = f"at most {MAX_SEED - more}, for its {more + 1} variations"
            yield seed.mistake(str(seed.value), allowed)


def _words_of(photo_key: str, sku: str | None) -> dict[str, Value]:
    given = {"folder": folder_of(photo_key), "stem": stem_of(photo_key), "sku": sku}
    return {name: Value(word, Source(KEY, f"{{{name}}}")) for name, word in given.items() if word is not None}


def _filled(scene: StagedScene, prefix: str) -> tuple[StagedScene, list[Mistake]]:
    """The scene with its placeholders filled and its references found; and what is wrong with it."""
    words = {name: value.value for name, value in scene.words.items()}
    filled, references, mistakes = dict(scene.values), dict[str, str](), list[Mistake]()
    used: dict[str, Value] = {}
    for name in ("prompt", *REFERENCES):
        value = scene.values[name]
        if value.value is None:
            continue
        text = value.value
        try:
            text = placeholders.fill(text, words)
            if name == "prompt":
                _check_prompt(text)
            elif is_reference_url(text):
                checked_reference(text)
            else:
                text = references[name] = _key(text, value.source.folder, prefix)
        except placeholders.UnknownPlaceholderError as error:
            mistakes.append(value.mistake(error.unknown, error.known))
        except placeholders.PlaceholderError as error:
            mistakes.append(value.mistake(error.found, str(error)))
        except ValueError as error:
            mistakes.append(value.mistake(shown(text), str(error)))
        else:
            filled[name] = Value(text, value.source)
            used |= {word: scene.words[word] for word in placeholders.names_in(value.value)}
    return StagedScene(scene.name, filled, references, used), mistakes


def _check_prompt(text: str) -> None:
    if not text.strip() or len(text) > MAX_PROMPT_CHARACTERS:
        raise ValueError(f"{allowed_values('prompt')}, with its placeholders filled")


def _key(text: str, folder: str, prefix: str) -> str:
    """The key that a path relative to a folder means; one that begins with / is relative to the bucket."""
    parts = [] if text.startswith("/") or not folder else folder.split("/")
    for part in text.split("/"):
        if part == "..":
            if not parts:
                raise ValueError("a key in the bucket, which this leads out of")
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    key = "/".join(parts)
    if not key.startswith(prefix):
        raise ValueError(f"a key that begins with {prefix} (PhotoPrefix)")
    if not 0 < len(key.encode()) <= MAX_KEY_BYTES:
        raise ValueError(f"a key of 1 to {MAX_KEY_BYTES} bytes")
    return key


def _variations(scene: StagedScene) -> Iterator[StagedScene]:
    """A scene for each of its jobs; a seed that is given goes up by one from each to the next."""
    count, seed = scene.values.get("variations"), scene.values["seed"]
    plain = {name: value for name, value in scene.values.items() if name != "variations"}
    names = job_names({scene.name: count.value if count else None})[scene.name]
    for number, name in enumerate(names):
        mine = Value(seed.value + number, seed.source) if is_given(seed) else seed
        yield replace(scene, name=name, values={**plain, "seed": mine})


def is_given(seed: Value) -> bool:
    """Whether a seed is one, and not to be drawn."""
    return seed.value is not None and seed.value >= 0


_PARTIAL_SCENE: TypeAdapter[PartialScene] = TypeAdapter(PartialScene)
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=")
_VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,63}")


def _read_metadata(
    photo_key: str, metadata: Mapping[str, str]
) -> tuple[dict[str, Value], dict[str, Value], list[Mistake]]:
    """The parameters and the variables that a photo's user metadata gives, and what is wrong with it.

    Values may be plain ASCII, RFC 2047 encoded words or percent-encoded UTF-8.
    """
    parameters, variables, mistakes = dict[str, Value](), dict[str, Value](), list[Mistake]()
    for given_name, given_text in sorted(metadata.items()):
        name = given_name.casefold()
        if not name.startswith(OVERRIDE_PREFIX):
            continue
        source = Source(
            METADATA, name[:200].encode("ascii", "backslashreplace").decode(), folder_of(photo_key)
        )
        try:
            text = _decoded(given_text)
            if name.startswith(VARIABLE_PREFIX):
                variables[_variable(name)] = Value(text, source)
            else:
                parameter = _parameter(name)
                validated = _PARTIAL_SCENE.validate_python({parameter: text})
                parameters[parameter] = Value(dict(validated)[parameter], source)
        except ValidationError as error:
            (problem, *_) = error.errors(include_url=False)
            mistakes.append(Value(text, source).mistake(found_in(problem), allowed_for(parameter, problem)))
        except _UnknownNameError as error:
            mistakes.append(Value(given_text, source).mistake("an unknown name", str(error)))
        except ValueError as error:
            mistakes.append(Value(given_text, source).mistake(shown(given_text), str(error)))
    return parameters, variables, mistakes


class _UnknownNameError(ValueError):
    """A metadata field that is ours by its prefix, and means nothing; the message names those that do."""


def _parameter(name: str) -> str:
    parameter = name.removeprefix(OVERRIDE_PREFIX).replace("-", "_")
    if parameter not in PARAMETERS:
        known = [OVERRIDE_PREFIX + each.replace("_", "-") for each in PARAMETERS]
        raise _UnknownNameError(known_names(name, [*known, f"{VARIABLE_PREFIX}NAME"]))
    return parameter


def _variable(name: str) -> str:
    variable = name.removeprefix(VARIABLE_PREFIX).replace("-", "_")
    if not _VARIABLE.fullmatch(variable) or variable in OF_THE_KEY:
        others = ", ".join(OF_THE_KEY)
        known = f"{VARIABLE_PREFIX}NAME, of letters, digits and -, which begins with a letter; not {others}"
        raise _UnknownNameError(known)
    return variable


def _decoded(text: str) -> str:
    try:
        decoded = (
            str(make_header(decode_header(text)))
            if _ENCODED_WORD.search(text)
            else unquote(text, errors="strict")
        )
        # Some charsets make halves of characters, which nothing can be sent or kept with.
        decoded.encode()
    except (LookupError, MessageError, ValueError) as error:
        raise ValueError("plain ASCII, RFC 2047 or percent-encoded UTF-8") from error
    return decoded


def _matches(pattern: str, folder: str, key: str) -> bool:
    """Whether a photo in or below a folder is meant by a pattern of its scenes file."""
    parts = key.removeprefix(f"{folder}/" if folder else "").split("/")
    if "/" not in pattern:
        return fnmatchcase(parts[-1], pattern)
    steps = pattern.lstrip("/").split("/")
    if steps[-1] in {"", "**"}:
        # Whatever is in the folder, but not a photo of its name.
        steps[-1:] = ["**", "*"]
    reached = {0}
    for step in steps:
        if step == "**":
            reached = set(range(min(reached), len(parts) + 1)) if reached else set()
        else:
            reached = {at + 1 for at in reached if at < len(parts) and fnmatchcase(parts[at], step)}
    return len(parts) in reached
