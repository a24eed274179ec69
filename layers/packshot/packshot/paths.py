"""Where a photo's images and its manifest go: `{folder}/{stem}/{scene}.{ext}`, or as the stack says."""

from __future__ import annotations

from packshot import placeholders
from packshot.photo import Photo, folder_of, stem_of
from packshot.scene import EXTENSIONS, ImageFormat

DEFAULT_PATH_TEMPLATE = "{folder}/{stem}/{scene}.{ext}"
MANIFEST = "manifest.json"
NAMES = frozenset({"folder", "stem", "key", "sku", "scene", "ext"})


def checked_template(template: str) -> str:
    """The template as it is. Raises ValueError where images would meet, or leave their place."""
    names = set(placeholders.names_in(template))
    if names - NAMES:
        raise ValueError(f"only {placeholders.in_braces(sorted(NAMES))} are known")
    if "scene" not in names or not names & {"stem", "key"}:
        raise ValueError("it needs {scene}, and {stem} or {key}")
    if template.startswith("/") or any(part.startswith((".", "_")) for part in template.split("/")):
        raise ValueError("it may not begin with a slash, and no part of it with a dot or _")
    return template


def image_key(template: str, photo: Photo, scene: str, image_format: ImageFormat) -> str:
    """Where the image of a photo in a scene goes: no slash at the root.

    Raises UnknownPlaceholderError where the template wants a SKU and the photo has none.
    """
    return _filled(template, photo, {"scene": scene, "ext": EXTENSIONS[image_format]})


def manifest_key(template: str, photo: Photo) -> str:
    """Where the manifest of a photo goes: by its folder and stem, or by its key where its images do so."""
    by_key = "key" in placeholders.names_in(template)
    return _filled(f"{{key}}/{MANIFEST}" if by_key else f"{{folder}}/{{stem}}/{MANIFEST}", photo, {})


def _filled(template: str, photo: Photo, words: dict[str, str]) -> str:
    folder = folder_of(photo.key)
    if not folder:
        template = template.replace("{folder}/", "")
    known = {"folder": folder, "stem": stem_of(photo.key), "key": photo.key, **words}
    return placeholders.fill(template, known | ({"sku": photo.sku} if photo.sku else {}))
