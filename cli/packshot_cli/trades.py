"""The trades that `packshot init` has a scene for."""

from __future__ import annotations

from enum import StrEnum


class Trade(StrEnum):
    """What is sold: the first word of the names of its scenes."""

    FURNITURE = "furniture"
    FASHION = "fashion"
    FOOD = "food"
    COSMETICS = "cosmetics"
    ELECTRONICS = "electronics"
    JEWELLERY = "jewellery"
