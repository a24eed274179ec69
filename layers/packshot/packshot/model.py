"""The model that makes the images, by Segmind's name for it."""

from __future__ import annotations

MODEL = "qwen-image-edit-plus-product-photography"
