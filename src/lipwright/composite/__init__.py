"""Putting the new face back: which pixels change, and how."""

from lipwright.composite.dissolve import dissolve
from lipwright.composite.mask import mouth_mask
from lipwright.composite.native import paste_native

__all__ = ["dissolve", "mouth_mask", "paste_native"]
