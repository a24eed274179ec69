"""Everything that one run of the benchmark found out, and whether it is what Packshot promises."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.bill import Prices, bill, total_usd
from benchmarks.cold_start import ColdStarts
from benchmarks.memory import PeakMemory
from benchmarks.runs import Run

MAX_USD = 0.18
CHEAPER_TIMES, EARLIER_TIMES = 2.5, 4.0
MAX_PUBLISH_SHARE = 1.5
MAX_BUILT_SHARE, MAX_CHECK_SHARE = 0.5, 0.6
MAX_GROWTH_BYTES = 10_000_000
RATE_TOLERANCE, MAX_BURST_SHARE = 0.2, 2.0


@dataclass(frozen=True)
class Machine:
    """What it ran on."""

    processor: str
    cores: int
    python: str


@dataclass(frozen=True)
class Results:
    """One run; `designs` by name, `cold_starts` None where no Python 3.13 runs."""

    date: str
    machine: Machine
    prices: Prices
    designs: Mapping[str, Run]
    calm: Run
    burst: Run
    burst_rate: int
    cold_starts: ColdStarts | None
    memory: Sequence[PeakMemory]
    seconds: float

    def usd(self, design: str) -> float:
        """What 1,000 images cost with a design."""
        return total_usd(bill(self.designs[design].use, self.prices))


@dataclass(frozen=True)
class Claim:
    """Something that has to hold, and what was found."""

    words: str
    found: str
    holds: bool


RESULTS = TypeAdapter(Results)


def claims(results: Results) -> list[Claim]:
    """What has to hold, each with its figure."""
    ours, flexible = results.designs["packshot"], results.designs["packshot-flexible"]
    textbook, sdk = results.designs["textbook"], results.designs["blocking-sdk"]
    cheaper = results.usd("textbook") / results.usd("packshot")
    earlier = textbook.notice.mean / ours.notice.mean
    publish_share = ours.publish.mean / sdk.publish.mean
    rate = results.burst.submits_a_minute
    late_share = results.burst.notice.p95 / results.calm.notice.p95
    lost = results.burst.failures + results.burst.dead_letters
    return [
        Claim(
            f"Plan scale: at least {CHEAPER_TIMES} times cheaper than the textbook loop",
            f"{cheaper:.2f} times",
            cheaper >= CHEAPER_TIMES,
        ),
        Claim(
            f"Plan scale: a finished image is noticed at least {EARLIER_TIMES:.0f} times earlier",
            f"{earlier:.1f} times",
            earlier >= EARLIER_TIMES,
        ),
        Claim(
            "Plan flexible: no more polls than the textbook loop",
            f"{flexible.polls:.2f} against {textbook.polls:.2f}",
            flexible.polls <= textbook.polls,
        ),
        Claim(
            "Plan flexible: cheaper, and earlier",
            f"${results.usd('packshot-flexible'):.3f} against ${results.usd('textbook'):.3f}, "
            f"{flexible.notice.mean:.2f} s against {textbook.notice.mean:.2f} s",
            results.usd("packshot-flexible") < results.usd("textbook")
            and flexible.notice.mean < textbook.notice.mean,
        ),
        Claim(
            f"Published at most {MAX_PUBLISH_SHARE} times as late as by the blocking Lambda",
            f"{publish_share:.2f} times",
            publish_share <= MAX_PUBLISH_SHARE,
        ),
        Claim(
            f"At most ${MAX_USD} for 1,000 images, by state entries",
            f"${results.usd('packshot'):.3f}",
            results.usd("packshot") <= MAX_USD,
        ),
        *_cold_claims(results.cold_starts),
        Claim(
            f"Finalize's memory grows by at most {MAX_GROWTH_BYTES / 1e6:.0f} MB with the image",
            f"{growth_bytes(results.memory) / 1e6:.1f} MB",
            growth_bytes(results.memory) <= MAX_GROWTH_BYTES,
        ),
        Claim(
            f"A burst of {results.burst.images}: nothing fails, nothing is a dead letter",
            f"{lost} of {results.burst.images}",
            lost == 0,
        ),
        Claim(
            f"A burst is submitted at its plan's pace, give or take {RATE_TOLERANCE:.0%}",
            f"{rate:.1f} a minute of {results.burst_rate}",
            abs(rate / results.burst_rate - 1) <= RATE_TOLERANCE,
        ),
        Claim(
            f"In a burst, 95 % are noticed within {MAX_BURST_SHARE:.0f} times what it takes on a calm day",
            f"{results.burst.notice.p95:.2f} s against {results.calm.notice.p95:.2f} s",
            late_share <= MAX_BURST_SHARE,
        ),
    ]


def growth_bytes(memory: Sequence[PeakMemory]) -> int:
    """By how much the peak grows from the smallest to the largest image, in the worst format."""
    formats = {each.format for each in memory}
    by_format = [
        sorted((each for each in memory if each.format == name), key=lambda each: each.size_bytes)
        for name in formats
    ]
    return max(sizes[-1].peak_bytes - sizes[0].peak_bytes for sizes in by_format)


def _cold_claims(cold: ColdStarts | None) -> list[Claim]:
    if cold is None:
        return []
    slowest, start = max(cold.functions.items(), key=lambda named: named[1].share)
    return [
        Claim(
            f"Cold start: at most {MAX_BUILT_SHARE:.0%} of the same code as a plain build ships it",
            f"{start.share:.0%} ({slowest}, the most)",
            start.share <= MAX_BUILT_SHARE,
        ),
        Claim(
            f"Cold start: the status check at most {MAX_CHECK_SHARE:.0%} of the textbook's",
            f"{cold.check_share:.0%}",
            cold.check_share <= MAX_CHECK_SHARE,
        ),
    ]


def this_machine() -> Machine:
    """What this runs on."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return Machine(names[0] if names else platform.machine(), os.cpu_count() or 1, platform.python_version())
