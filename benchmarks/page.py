"""The page of results, docs/benchmarks.md: every figure in it comes from docs/benchmarks.json."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.bill import Line, bill, edges_line, monthly_lines, photo_lines, total_usd
from benchmarks.cold_start import Milliseconds
from benchmarks.results import Results, claims, growth_bytes
from benchmarks.runs import MEDIAN_SECONDS, SIGMA, Run, Spread
from benchmarks.scale import PEAK, months

# What each line of the bill buys.
BUYS = {
    "Step Functions": "an image is waited for free of charge, and whatever dies on the way is tried again",
    "CheckStatusFunction": "watching: the delay until a finished image is noticed",
    "FinalizeFunction": "the image is fetched, judged, published; its record, its manifest",
    "SubmitFunction": "the photo is read and judged, its scenes found, the pace kept, one paid request made",
    "Lambda invocations": "the same, by the call",
    "DynamoDB writes": "nothing is paid twice, nothing is lost, the newest photo wins",
    "DynamoDB reads": "the same",
    "S3 writes": "the image and its photo's manifest",
    "S3 reads": "the photo (by us and by Segmind), scenes files, the manifest that stands",
    "SQS": "an upload survives every death; bursts wait for their turn",
    "EventBridge": "the upload is told of, and so are the image and the photo",
    "Secrets Manager": "the API key stays out of the environment; read again every few minutes",
    "CloudWatch Logs": "what happened can be looked up",
}


def page(results: Results) -> str:
    """The whole page."""
    ours = results.designs["packshot"]
    sections = [
        _head(results),
        _claims(results),
        _designs(results),
        _bill(results),
        _requests(ours),
        _burst(results),
        _cold_starts(results),
        _memory(results),
        _months(results),
        _method(results),
    ]
    return "\n\n".join(sections) + "\n"


def _head(results: Results) -> str:
    machine = results.machine
    return f"""# Benchmarks

Made by `make bench` on {results.date}, in one run of {results.seconds / 60:.0f} minutes, on {machine.cores} cores
({machine.processor}), Python {machine.python}. No figure on this page is typed by hand; `docs/benchmarks.json` holds
what was counted. Nothing ran on AWS: requests, transitions and delays are counts and times of the real pipeline in
the local cloud, prices are AWS's list ({results.prices.region}, {results.prices.date}), and milliseconds are this
machine's, not Lambda's."""


def _claims(results: Results) -> str:
    rows = [(claim.words, claim.found, "yes" if claim.holds else "**no**") for claim in claims(results)]
    return "## What has to hold\n\n" + table(("", "found", "holds"), rows)


def _designs(results: Results) -> str:
    rows = [
        (
            run.title,
            f"${results.usd(name):.3f}",
            _spread(run.notice),
            _spread(run.publish),
            f"{run.polls:.1f}",
            f"{run.images}",
        )
        for name, run in results.designs.items()
    ]
    header = (
        "design",
        "AWS, 1,000 images",
        "noticed after, s",
        "published after, s",
        "polls an image",
        "images",
    )
    return f"""## Side by side

![Cost of 1,000 images against the delay until one is noticed](benchmarks.svg)

{table(header, rows)}

Delays count from the moment at which the emulated Segmind finished, until a client first read of it, and until
the image was in the output bucket: mean / median / 95th percentile (standard deviation). A request takes
{MEDIAN_SECONDS} s in the median, lognormal with sigma {SIGMA}; the k-th request of each design takes the same time.
The blocking Lambda has no record, no limiter, no manifest and no events, and pays again for what it forgets when it
dies."""


def _spread(spread: Spread) -> str:
    return f"{spread.mean:.2f} / {spread.median:.2f} / {spread.p95:.2f} ({spread.deviation:.2f})"


def _bill(results: Results) -> str:
    ours = results.designs["packshot"]
    parts = [
        "## The bill for 1,000 images",
        "Packshot on plan scale, and the textbook loop beside it.",
        _bill_table(results),
        "Not in the sum: another way to count, the photo's own way, and a month in which nothing happens.",
        table(
            ("line", "quantity", "unit", "USD"),
            [
                _row(line)
                for line in (
                    edges_line(ours.use, results.prices),
                    *photo_lines(ours.use, results.prices),
                )
            ],
        ),
        table(
            ("a month", "quantity", "unit", "USD"),
            [_row(line) for line in monthly_lines(ours.metrics, results.burst.sweep, results.prices)],
        ),
    ]
    return "\n\n".join(parts)


def _bill_table(results: Results) -> str:
    ours = bill(results.designs["packshot"].use, results.prices)
    theirs = {line.name: line for line in bill(results.designs["textbook"].use, results.prices)}
    rows = [
        (
            line.name,
            f"{_quantity(line.quantity)} {line.unit}",
            f"{line.usd:.4f}",
            f"{theirs[line.name].usd:.4f}",
            BUYS[line.name],
        )
        for line in sorted(ours, key=lambda line: line.usd, reverse=True)
    ]
    sums = ("**all**", "", f"**{total_usd(ours):.4f}**", f"**{total_usd(list(theirs.values())):.4f}**", "")
    return table(("line", "quantity", "USD", "textbook, USD", "what it buys"), [*rows, sums])


def _row(line: Line) -> tuple[str, ...]:
    return (line.name, _quantity(line.quantity), line.unit, f"{line.usd:.4f}")


def _quantity(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _requests(run: Run) -> str:
    rows = [
        (function, name, f"{count:.2f}")
        for function, names in run.requests.items()
        if function != "SweepFunction"
        for name, count in sorted(names.items(), key=lambda named: -named[1])
    ]
    return (
        "## Requests an image\n\nTo AWS, as they went over the wire; those of the queue's poller, of EventBridge and"
        f" of Step Functions are not among them.\n\n{table(('who', 'request', 'an image'), rows)}"
    )


def _burst(results: Results) -> str:
    calm, burst = results.calm, results.burst
    rows = [
        (name, f"{run.images}", f"{run.submits_a_minute:.1f}", _spread(run.notice), _spread(run.publish))
        for name, run in (("calm", calm), ("burst", burst))
    ]
    header = ("", "photos", "submits a minute", "noticed after, s", "published after, s")
    return f"""## A burst

{burst.images} photos at once, on a plan of {results.burst_rate} requests a minute where polls do not count; on a
calm day they come one after the other. Failed: {burst.failures}. Dead letters: {burst.dead_letters}. Submits that
Segmind refused for being too many: {burst.refused_submits}. All images were there after {burst.seconds:.0f} s.

{table(header, rows)}"""


def _cold_starts(results: Results) -> str:
    cold = results.cold_starts
    if cold is None:
        return "## Cold starts\n\nNot measured: no Python 3.13 runs on this machine."
    rows = [
        (
            name,
            _milliseconds(start.built),
            _milliseconds(start.naive),
            f"{start.share:.0%}",
            f"{start.peak_bytes / 1e6:.0f}",
        )
        for name, start in cold.functions.items()
    ]
    textbook = ("the textbook's status check", _milliseconds(cold.textbook_check), "", "", "")
    header = ("function", "as deployed, ms", "as a plain build ships it, ms", "share", "memory, MB")
    return f"""## Cold starts

Importing a function's module and making its clients in a new process of Python {cold.python}: the median of
{cold.runs} by turns, and the quartiles. As deployed, the layer has bytecode that needs no dates, and no
descriptions of services that nobody calls; a plain `sam build` ships the same without usable bytecode, since its
packaging changes the dates. The textbook's status check has Powertools' Logger, Metrics, Tracer and parser, boto3
and requests, all with bytecode.

{table(header, [*rows, textbook])}"""


def _milliseconds(found: Milliseconds) -> str:
    return f"{found.median:.0f} ({found.low:.0f} to {found.high:.0f})"


def _memory(results: Results) -> str:
    rows = [
        (each.format, f"{each.size_bytes / 1e6:.1f}", f"{each.peak_bytes / 1e6:.1f}")
        for each in results.memory
    ]
    return f"""## Memory of FinalizeFunction

From its download to its upload, each image in a process of its own. The peak grows by at most
{growth_bytes(results.memory) / 1e6:.1f} MB.

{table(("format", "image, MB", "peak, MB"), rows)}"""


def _months(results: Results) -> str:
    rows = [
        (
            f"{month.photos:,}",
            f"{month.usd:,.2f}",
            f"{month.usd_per_thousand:,.3f}",
            f"{month.peak_per_second:,.3g}",
            f"{month.first.quota.name}: {month.first.share:.2%}",
            f"{month.second.quota.name}: {month.second.share:.2%}",
        )
        for month in months(results.designs["packshot"], results.burst.sweep, results.prices)
    ]
    header = (
        "photos a month",
        "USD a month",
        "USD for 1,000",
        "peak, images a second",
        "first quota",
        "second",
    )
    return f"""## From a thousand photos a month to a hundred million

A model: the bill above and the fixed costs, at list prices, and what the busiest hour takes of the quotas that
accounts begin with, if it has {PEAK} times the photos of the mean one. Above 100 % more has to be asked for.

{table(header, rows)}"""


def _method(results: Results) -> str:
    sources = "\n".join(f"- {source}" for source in _sources(results))
    return f"""## How it is counted

- A proxy stands between the functions and the local cloud's AWS: each request is counted with its function and its
  size, and DynamoDB's units follow from the sizes by its documentation, the index included.
- Transitions are the state entries of each execution's history; by edges, the way out of the last state is one
  more.
- Milliseconds are those of the local cloud's REPORT lines, each rounded up; the cold starts of the run are among
  them.
- SQS: a message is sent, received and deleted. EventBridge: S3 tells of each upload.
- The emulated Segmind paints pictures of one colour here, so that the machine is free for what is measured.

Prices and quotas of {results.prices.date}, from:

{sources}"""


def _sources(results: Results) -> Iterable[str]:
    return dict.fromkeys((*results.prices.sources, *(quota.source for quota in results.prices.quotas)))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
