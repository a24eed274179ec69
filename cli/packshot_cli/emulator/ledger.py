"""The requests that were accepted, their states, and the money: all in memory, in the order of acceptance."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import random
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from packshot_cli.emulator.parameters import Parameters
from packshot_cli.emulator.photos import shown
from packshot_cli.emulator.settings import Settings


class Status(StrEnum):
    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


ENDINGS = (Status.COMPLETED, Status.FAILED)


class InsufficientCreditsError(Exception):
    """The balance, less what the requests in flight will cost, does not pay for one more."""


@dataclass(frozen=True)
class Image:
    """A finished picture on the file host."""

    name: str
    path: Path
    content_type: str


@dataclass
class InferenceRequest:
    """One accepted request. `parameters` is None for a body that will fail for being `invalid`."""

    request_id: str
    model: str
    api: Literal["v1", "v2"]
    body: Mapping[str, Any]
    parameters: Parameters | None
    invalid: str | None
    seed: int
    price_usd: float
    submitted_at: datetime
    starts_at: datetime
    due_at: datetime
    expires_at: datetime
    status: Status = Status.QUEUED
    started_at: datetime | None = None
    painted_at: datetime | None = None
    finished_at: datetime | None = None
    first_read_at: datetime | None = None
    error: str | None = None
    image: Image | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def wants_base64(self) -> bool:
        return self.parameters is not None and self.parameters.base64

    @property
    def inference_seconds(self) -> float | None:
        """Time on the worker; None until the end."""
        if self.finished_at is None or self.started_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def cost_usd(self) -> float | None:
        """What was charged; None until the end, 0 for a failure, which is free."""
        return {Status.COMPLETED: self.price_usd, Status.FAILED: 0.0}.get(self.status)


class Ledger:
    """Every accepted request since the start; a record that expired stays here, for counts and history."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_id: dict[str, InferenceRequest] = {}
        self._by_image_name: dict[str, InferenceRequest] = {}
        self._bodies: Counter[str] = Counter()
        self._bodies_but_for_queries: Counter[str] = Counter()

    def __iter__(self) -> Iterator[InferenceRequest]:
        return iter(self._by_id.values())

    def accept(  # everything about a request that is settled when it is taken
        self,
        model: str,
        api: Literal["v1", "v2"],
        body: Mapping[str, Any],
        *,
        raw_body: bytes,
        parameters: Parameters | None,
        invalid: str | None,
        now: datetime,
    ) -> InferenceRequest:
        """Take a request into the queue; raises InsufficientCreditsError and then takes nothing."""
        settings = self._settings
        in_flight_usd = sum(request.price_usd for request in self if request.status not in ENDINGS)
        if round(settings.credits_usd - in_flight_usd - settings.price_usd, 6) < 0:
            raise InsufficientCreditsError
        # Its own stream of chance for each request: what one draws never moves another.
        chance = random.Random(f"{settings.random_seed}/{len(self._by_id)}")  # noqa: S311
        job_seconds = settings.seconds * math.exp(settings.sigma * chance.gauss())
        seed = parameters.seed if parameters else None
        request = InferenceRequest(
            # Never from the seed: an id must not come back when the emulator is started again.
            request_id=str(uuid.uuid4()),
            model=model,
            api=api,
            body=body,
            parameters=parameters,
            invalid=invalid,
            seed=chance.randrange(2**31) if seed in (None, -1) else seed,
            price_usd=settings.price_usd,
            submitted_at=now,
            starts_at=now + timedelta(seconds=job_seconds * settings.queue_share),
            due_at=now + timedelta(seconds=job_seconds),
            expires_at=now + timedelta(seconds=settings.record_seconds),
        )
        self._by_id[request.request_id] = request
        self._bodies[hashlib.sha256(raw_body).hexdigest()] += 1
        self._bodies_but_for_queries[json.dumps(shown(body), sort_keys=True)] += 1
        return request

    def find(self, request_id: str, now: datetime) -> InferenceRequest | None:
        """A request whose record has not expired."""
        request = self._by_id.get(request_id)
        return request if request and now < request.expires_at else None

    def find_image(self, name: str, now: datetime) -> Image | None:
        """An image that the file host still has."""
        request = self._by_image_name.get(name)
        if request is None or request.finished_at is None:
            return None
        expires_at = request.finished_at + timedelta(seconds=self._settings.file_seconds)
        return request.image if now < expires_at else None

    def owner_of_image(self, name: str) -> str | None:
        """The id of the request that an image came from."""
        request = self._by_image_name.get(name)
        return request.request_id if request else None

    def start(self, request: InferenceRequest, now: datetime) -> None:
        request.status = Status.PROCESSING
        request.started_at = now

    def complete(self, request: InferenceRequest, image: Image, now: datetime) -> None:
        """End a request well, and charge it."""
        request.image = image
        self._by_image_name[image.name] = request
        self._settings.credits_usd = round(max(0.0, self._settings.credits_usd - request.price_usd), 6)
        self._end(request, Status.COMPLETED, now)

    def fail(self, request: InferenceRequest, error: str, now: datetime) -> None:
        """End a request badly, at no cost."""
        request.error = error
        self._end(request, Status.FAILED, now)

    def _end(self, request: InferenceRequest, status: Status, now: datetime) -> None:
        request.status = status
        request.finished_at = now
        request.ended.set()

    def totals(self) -> dict[str, float]:
        """How many were accepted and charged, and how many bodies came again."""
        charged = [request.price_usd for request in self if request.status is Status.COMPLETED]
        return {
            "accepted": len(self._by_id),
            "charged": len(charged),
            "charged_usd": round(sum(charged), 6),
            "duplicates": self._bodies.total() - len(self._bodies),
            "duplicates_but_for_url_queries": self._bodies_but_for_queries.total()
            - len(self._bodies_but_for_queries),
        }
