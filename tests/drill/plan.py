"""What a drill will do and when, drawn from its seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.drill.photos import FORMATS, product_photo

# The shares of a quarter and a fifth: of so many calls in a row, each of these befalls one.
CALLS_A_ROUND = 20
SUBMIT_FAULTS: Mapping[str, Mapping[str, Any]] = {
    "429": {"kind": "answer", "status": 429},
    "500": {"kind": "answer", "status": 500},
    "502": {"kind": "answer", "status": 502, "html": "<h1>502 Bad Gateway</h1>"},
    "reset": {"kind": "reset"},
    "lost": {"kind": "lost"},
}
STATUS_FAULTS: Mapping[str, Mapping[str, Any]] = {
    name: effect for name, effect in SUBMIT_FAULTS.items() if name != "lost"
}
# The rest of the calls takes a moment now and then, as real ones do: handlers are killed in it.
SLOW_CALLS: Sequence[Mapping[str, Any]] = (
    {"call": "submit", "probability": 0.25, "effect": {"kind": "slow", "seconds": 1.5}},
    {"call": "status", "probability": 0.15, "effect": {"kind": "slow", "seconds": 1.0}},
)
# More rounds than a drill has calls for: a job is submitted about twice, and asked about a few dozen times.
SUBMITS_A_PHOTO, STATUS_CALLS_A_PHOTO = 5, 40

# Beside the time without credits, a storm lasts so long.
WEATHER_SECONDS = 150.0
UPLOADING_SHARE = 0.6
CREDITS_GONE_SHARE = 0.25
KILL_EVERY_SECONDS = (0.5, 3.0)
AGAIN_WITHIN_SECONDS = 40.0


@dataclass(frozen=True)
class Upload:
    """A photo, when it is uploaded, and how long after its event the same event is delivered again."""

    key: str
    data: bytes
    image_format: str
    at_seconds: float
    again_after_seconds: float

    @property
    def metadata(self) -> dict[str, str]:
        return {"packshot-image-format": self.image_format}


@dataclass(frozen=True)
class Plan:
    """A drill. It begins with a storm: uploads, kills, faults, and in the midst a time without credits."""

    seed: int
    uploads: Sequence[Upload]
    without_credits_seconds: float

    @property
    def storm_seconds(self) -> float:
        return WEATHER_SECONDS + self.without_credits_seconds

    def has_credits(self, elapsed_seconds: float) -> bool:
        gone_at = CREDITS_GONE_SHARE * self.storm_seconds
        return not gone_at <= elapsed_seconds < gone_at + self.without_credits_seconds

    def fault_rules(self) -> list[dict[str, Any]]:
        """The emulator's rules for the storm."""
        chance = random.Random(f"{self.seed}/faults")
        photos = len(self.uploads)
        return [
            *_rounds("submit", SUBMIT_FAULTS, photos * SUBMITS_A_PHOTO, chance),
            *_rounds("status", STATUS_FAULTS, photos * STATUS_CALLS_A_PHOTO, chance),
            *map(dict, SLOW_CALLS),
        ]


def draw_plan(seed: int, photos: int, without_credits_seconds: float) -> Plan:
    """The drill of this seed."""
    chance = random.Random(f"{seed}/photos")
    uploading_seconds = UPLOADING_SHARE * (WEATHER_SECONDS + without_credits_seconds)
    uploads = []
    for number in range(photos):
        suffix = chance.choice(list(FORMATS))
        uploads.append(
            Upload(
                key=f"drill/{number:03}.{suffix}",
                data=product_photo(number, photos, suffix, chance),
                image_format=chance.choice(("jpeg", "png", "webp")),
                at_seconds=chance.uniform(0, uploading_seconds),
                # Half of them at once: both deliveries are worked on side by side.
                again_after_seconds=max(0.0, chance.uniform(-AGAIN_WITHIN_SECONDS, AGAIN_WITHIN_SECONDS)),
            )
        )
    return Plan(seed, sorted(uploads, key=lambda upload: upload.at_seconds), without_credits_seconds)


def _rounds(
    call: str, faults: Mapping[str, Mapping[str, Any]], calls: int, chance: random.Random
) -> Iterator[dict[str, Any]]:
    """In each round of calls, each fault befalls one, in an order of its own."""
    for first in range(1, calls + 1, CALLS_A_ROUND):
        struck = chance.sample(range(first, first + CALLS_A_ROUND), len(faults))
        for nth, effect in zip(struck, faults.values(), strict=True):
            yield {"call": call, "nth": nth, "effect": dict(effect)}
