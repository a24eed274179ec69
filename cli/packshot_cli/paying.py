"""What images cost, and asking a person before they are paid for."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.prompt import Confirm

from packshot_cli.text import counted

# What an image of this model cost on average in August 2026, second-hand: its page names no price.
PRICE_USD = 0.0891


def cost_in_words(images: int) -> str:
    """`up to 2 images: about $0.18, at $0.0891 an image (the average in August 2026)`."""
    return (
        f"up to {counted(images, 'image')}: about ${images * PRICE_USD:,.2f}, "
        f"at ${PRICE_USD} an image (the average in August 2026)"
    )


def is_agreed_to(console: Console) -> bool | None:
    """Ask whoever sits at the terminal for a yes; None when nobody does."""
    if not sys.stdin.isatty():
        return None
    try:
        return Confirm.ask("Go on?", console=console, default=False)
    except EOFError:
        return False
