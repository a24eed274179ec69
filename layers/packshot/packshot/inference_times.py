"""How long requests took lately: a small histogram that forgets, in one row of the job table.

Buckets grow by a twelfth each, so that a quantile is that exact. Each new time makes all before it count
less: what was seen 50 jobs ago hardly counts any more.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from packshot.row_types import Moment

BUCKETS_A_DOUBLING = 9
# What is left of a weight after one more job, and the least of all weights that tells anything.
MEMORY = 0.94
TELLING_WEIGHT = 5.0
FORGOTTEN_WEIGHT = 0.001
SHORTEST_SECONDS = 0.1
LONGEST_SECONDS = 3600.0
# At more than five jobs a second, a sample of them is enough: the row would be a hot one.
SAMPLE_PAUSE = timedelta(seconds=0.2)


class InferenceTimes(BaseModel):
    """The weights by bucket, and whether the API itself told the last of these times."""

    model_config = ConfigDict(frozen=True)

    version: int = 0
    weights: dict[int, float] = {}
    told: bool = True
    seen_at: Moment | None = None

    def with_one_more(self, seconds: float, now: datetime, *, told: bool) -> InferenceTimes:
        """The same after another request that took so long; unchanged where that is one too many."""
        if self.seen_at is not None and now - self.seen_at < SAMPLE_PAUSE:
            return self
        kept = {bucket: weight * MEMORY for bucket, weight in self.weights.items()}
        bucket = _bucket(seconds)
        kept[bucket] = kept.get(bucket, 0.0) + 1.0
        weights = {bucket: weight for bucket, weight in sorted(kept.items()) if weight > FORGOTTEN_WEIGHT}
        return self.model_copy(update={"weights": weights, "told": told, "seen_at": now})

    def quantile_seconds(self, share: float) -> float | None:
        """The time that this share of requests took less than; None while too few were seen."""
        total = sum(self.weights.values())
        if total < TELLING_WEIGHT:
            return None
        below = 0.0
        for bucket, weight in sorted(self.weights.items()):
            if below + weight >= share * total:
                inside = (share * total - below) / weight
                return float(2 ** ((bucket + inside) / BUCKETS_A_DOUBLING))
            below += weight
        return None


def _bucket(seconds: float) -> int:
    bounded = min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS)
    return math.floor(math.log2(bounded) * BUCKETS_A_DOUBLING)
