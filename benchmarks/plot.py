"""The picture of cost against delay, with every design and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter


@dataclass(frozen=True)
class Point:
    """A design by its cost of 1,000 images and its mean delay until a finished image is noticed."""

    title: str
    usd: float
    delay_seconds: float


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Those that no other point beats in cost and delay at once, the cheapest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.usd, point.delay_seconds)):
        if not front or point.delay_seconds < front[-1].delay_seconds:
            front.append(point)
    return front


def draw(points: Sequence[Point], file: Path) -> None:
    """Write the picture as SVG, the same file for the same points."""
    mpl.rcParams["svg.hashsalt"] = "packshot"
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    front = pareto_front(points)
    axes.step(
        [point.usd for point in front],
        [point.delay_seconds for point in front],
        where="post",
        color="0.6",
        linestyle="--",
        label="Pareto front: nothing measured is cheaper and earlier",
    )
    for point in points:
        is_ours = point.title.startswith("Packshot")
        axes.scatter(
            point.usd, point.delay_seconds, s=70, zorder=3, color="tab:blue" if is_ours else "tab:orange"
        )
        axes.annotate(
            f"{point.title}\n\\${point.usd:.3f}, {point.delay_seconds:.2f} s",
            (point.usd, point.delay_seconds),
            textcoords="offset points",
            # The front comes to its last point from above, and leaves the others to the right.
            xytext=(9, -4) if point is front[-1] else (9, 4),
            va="top" if point is front[-1] else "bottom",
            fontsize=9,
        )
    axes.set_xlim(0, 1.5 * max(point.usd for point in points))
    axes.set_ylim(0, 1.25 * max(point.delay_seconds for point in points))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda usd, _: f"${usd:.2f}".replace("$", r"\$")))
    axes.set_xlabel("AWS bill for 1,000 images, photo's egress and fixed costs apart")
    axes.set_ylabel("mean delay until a finished image is noticed, seconds")
    axes.grid(color="0.92")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    figure.savefig(file, format="svg", metadata={"Date": None})
