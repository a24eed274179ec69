"""From what was counted to what AWS charges for it: each line is a quantity, and its price by the list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

PRICES_FILE = Path(__file__).parent / "prices.json"
GB = 1e9
MONTH_MINUTES = 30 * 24 * 60


@dataclass(frozen=True)
class Quota:
    """A limit that accounts begin with; `need` names what an image takes of it (scale.needs)."""

    name: str
    limit: float
    unit: str
    need: str
    source: str


@dataclass(frozen=True)
class Prices:
    """The price list and the quotas, with their date and where they were read; every price in USD."""

    date: str
    region: str
    sources: tuple[str, ...]
    usd: Mapping[str, float]
    quotas: tuple[Quota, ...]


@dataclass(frozen=True)
class FunctionUse:
    """What was billed of one function: invocations, seconds of the billed milliseconds, and GB-seconds."""

    invocations: int
    seconds: float
    gb_seconds: float


@dataclass(frozen=True)
class Use:
    """What some images took of AWS, counted; `edges` are state entries and the ways out of last states."""

    images: int
    functions: Mapping[str, FunctionUse] = field(default_factory=dict)
    state_entries: int = 0
    edges: int = 0
    write_units: float = 0.0
    read_units: float = 0.0
    s3_puts: int = 0
    s3_gets: int = 0
    sqs_requests: int = 0
    events: int = 0
    secret_reads: int = 0
    log_bytes: int = 0
    egress_bytes: int = 0


@dataclass(frozen=True)
class Line:
    """A line of a bill for 1,000 images."""

    name: str
    quantity: float
    unit: str
    usd: float


def read_prices() -> Prices:
    """The price list of the repository."""
    return TypeAdapter(Prices).validate_json(PRICES_FILE.read_bytes())


def bill(use: Use, prices: Prices) -> list[Line]:
    """What 1,000 images cost, without the photo's way to Segmind, and transitions by state entries."""
    usd = prices.usd

    def line(name: str, quantity: float, unit: str, price_usd: float) -> Line:
        per_thousand = 1000 * quantity / use.images
        return Line(name, per_thousand, unit, per_thousand * price_usd)

    lines = [line("Step Functions", use.state_entries, "state entries", usd["state_transition"])]
    for name, function in sorted(use.functions.items()):
        lines.append(line(name, function.gb_seconds, "GB-s", usd["lambda_gb_second_arm64"]))
    invocations = sum(function.invocations for function in use.functions.values())
    return [
        *lines,
        line("Lambda invocations", invocations, "requests", usd["lambda_request"]),
        line("DynamoDB writes", use.write_units, "write units", usd["dynamodb_write_unit"]),
        line("DynamoDB reads", use.read_units, "read units", usd["dynamodb_read_unit"]),
        line("S3 writes", use.s3_puts, "PUT", usd["s3_put"]),
        line("S3 reads", use.s3_gets, "GET, HEAD", usd["s3_get"]),
        line("SQS", use.sqs_requests, "requests", usd["sqs_request"]),
        line("EventBridge", use.events, "events", usd["eventbridge_event"]),
        line("Secrets Manager", use.secret_reads, "reads", usd["secret_read"]),
        line("CloudWatch Logs", use.log_bytes / GB, "GB", usd["log_gb"]),
    ]


def total_usd(lines: list[Line]) -> float:
    return sum(line.usd for line in lines)


def edges_line(use: Use, prices: Prices) -> Line:
    """Step Functions, if the way into the first state and out of the last one are transitions too."""
    quantity = 1000 * use.edges / use.images
    return Line(
        "Step Functions, by edges", quantity, "transitions", quantity * prices.usd["state_transition"]
    )


def photo_lines(use: Use, prices: Prices) -> list[Line]:
    """What the photo costs on its way: put into the bucket by its owner, and fetched by Segmind."""
    egress_gb = 1000 * use.egress_bytes / use.images / GB
    return [
        Line("The upload of the photo", 1000, "PUT", 1000 * prices.usd["s3_put"]),
        Line("Egress of the photo to Segmind", egress_gb, "GB", egress_gb * prices.usd["egress_gb"]),
    ]


def monthly_lines(metrics: int, sweep: Use, prices: Prices) -> list[Line]:
    """What a stack costs in a month in which nothing happens; `sweep` is the use of one sweep as an image."""
    usd = prices.usd
    sweeps_usd = MONTH_MINUTES * total_usd(bill(sweep, prices)) / 1000
    # Five pollers ask the queue all the time, 20 s each.
    receives = 5 * MONTH_MINUTES * 60 / 20
    return [
        Line("The API key's secret", 1, "secret", usd["secret_month"]),
        Line("Metrics", metrics, "custom metrics", metrics * usd["metric_month"]),
        Line("Sweeps", MONTH_MINUTES, "invocations and their requests", sweeps_usd),
        Line("Polling of the empty queue", receives, "requests", receives * usd["sqs_request"]),
    ]
