"""Text for people: foreign words made safe for a terminal, and numbers with their units."""

from __future__ import annotations


def one_line(text: str) -> str:
    """Foreign text on one line, without the control characters that would steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def bytes_in_words(count: int) -> str:
    if count < 1000:
        return f"{count} bytes"
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB"
    return f"{count / 1_000_000:.1f} MB"


def counted(count: int, noun: str) -> str:
    """`1 photo`, `5 photos`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
