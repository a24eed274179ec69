"""Which photos a demo takes, where it uploads them, and how it asks for them to be staged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packshot.photo import is_photo_key
from packshot_cli.errors import DemoError

SAMPLES = Path(__file__).resolve().parents[2] / "samples/photos"
FOLDER = "catalogue"
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
# More would be a batch and not a demo: an hour of pictures, and with --live real money.
MAX_PHOTOS = 50

PROMPTS = {
    "sofa": "Place the sofa in a bright modern living room with tall windows, a wool rug and soft daylight",
    "mug": "Place the mug on a wooden kitchen counter in warm morning light, herbs out of focus",
    "table-lamp": "Place the lamp on a bedside table in a calm bedroom at dusk, its shade glowing softly",
    "handbag": "Place the handbag on the pavement of a sunny city street, its houses and lights out of focus",
    "perfume": "Place the perfume on a marble vanity among fresh flowers, with a gentle golden backlight",
}


@dataclass(frozen=True)
class DemoPhoto:
    """A photo file and its key; without a prompt it gets the scene of the stack's parameters."""

    file: Path
    key: str
    prompt: str | None


def find_photos(folder: Path) -> list[DemoPhoto]:
    """The photos of a folder by name, not of its subfolders. Hidden ones, and `_…`, are passed over.

    Raises DemoError when there is no folder, when nothing in it is a photo, or when there are too many.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise DemoError(f"{folder} cannot be read as a folder of photos: {error.strerror}") from None
    found = [
        DemoPhoto(folder / name, key, PROMPTS.get(Path(name).stem))
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and is_photo_key(key := f"{FOLDER}/{name}")
    ]
    if not found:
        raise DemoError(
            f"{folder} holds no photo: put a .jpg, .jpeg, .png or .webp there, not into a folder in it"
        )
    if len(found) > MAX_PHOTOS:
        raise DemoError(
            f"{folder} holds {len(found):,} photos, a demo takes up to {MAX_PHOTOS}: choose fewer"
        )
    for photo in found:
        # A name that is no UTF-8 is not printable either: Python reads it with lone surrogates.
        if not photo.key.isprintable():
            raise DemoError(
                f"{folder} holds a file whose name has characters that cannot be shown, {photo.file.name!a}:"
                " rename it"
            )
    return found


def passed_over(folder: Path, found: Sequence[DemoPhoto]) -> list[str]:
    """The names of what a folder holds besides the photos that were found; hidden ones are not counted."""
    taken = {photo.file.name for photo in found}
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return [name for name in names if name not in taken]
