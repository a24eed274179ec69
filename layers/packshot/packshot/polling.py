"""When to ask about a request, and when to stop: one pure function of the job's age."""

from __future__ import annotations

from datetime import timedelta

# The page gives 20.3 s as the model's usual time; asking before 13 s finds nearly nothing finished.
FIRST_WAIT_SECONDS = 13
CADENCE_SECONDS = 2
SLOW_AFTER_SECONDS = 5 * 60
SLOW_CADENCE_SECONDS = 15

# Forty times the usual: told of once, while there is time for a person to look.
LATE_AFTER = timedelta(minutes=15)

# A request cannot be cancelled and will be paid: giving up early saves nothing. Its record lives one hour.
DEADLINE = timedelta(minutes=50)

# Segmind keeps the file of an image as long, and forgets the request after an hour.
OUTPUT_KEPT = timedelta(days=7)

# A request may be unknown to the API for a moment after it was accepted.
UNKNOWN_BELIEVED_AFTER = timedelta(minutes=1)
# One odd answer decides nothing: it has to be unknown so many times running.
UNKNOWNS_BELIEVED = 3


def next_wait_seconds(age: timedelta) -> int:
    """How long to wait before the next look at a request of this age."""
    return CADENCE_SECONDS if age.total_seconds() < SLOW_AFTER_SECONDS else SLOW_CADENCE_SECONDS
