"""What a month costs, from a thousand photos to a hundred million, and which quota is in the way: a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.bill import MONTH_MINUTES, Prices, Quota, Use, bill, monthly_lines, total_usd
from benchmarks.runs import Run

PHOTOS_A_MONTH = tuple(10**exponent for exponent in range(3, 9))
# The busiest hour of the month has so many times the photos of the mean one: assumed.
PEAK = 5


@dataclass(frozen=True)
class Binding:
    """A quota, and the share of it that a month's peak takes: above 1, more has to be asked for."""

    quota: Quota
    share: float


@dataclass(frozen=True)
class Month:
    """A month with so many photos, and the two quotas that its peak takes most of."""

    photos: int
    usd: float
    usd_per_thousand: float
    peak_per_second: float
    first: Binding
    second: Binding


def needs(use: Use) -> Mapping[str, float]:
    """What an image takes, by the words of the quotas."""
    return {
        "images": 1.0,
        "state_entries": use.state_entries / use.images,
        "lambda_seconds": sum(function.seconds for function in use.functions.values()) / use.images,
        "write_units": use.write_units / use.images,
        "s3_puts": use.s3_puts / use.images,
        "events": use.events / use.images,
    }


def months(run: Run, sweep: Use, prices: Prices) -> list[Month]:
    """From few photos to many, at list prices; `sweep` is the use of one sweep."""
    fixed_usd = sum(line.usd for line in monthly_lines(run.metrics, sweep, prices))
    thousand_usd = total_usd(bill(run.use, prices))
    an_image = needs(run.use)
    shares = sorted(
        ((an_image[quota.need] / quota.limit, quota) for quota in prices.quotas),
        key=lambda found: found[0],
        reverse=True,
    )
    found = []
    for photos in PHOTOS_A_MONTH:
        peak = PEAK * photos / (MONTH_MINUTES * 60)
        usd = fixed_usd + photos / 1000 * thousand_usd
        binding = [Binding(quota, peak * share) for share, quota in shares[:2]]
        found.append(Month(photos, usd, 1000 * usd / photos, peak, *binding))
    return found
