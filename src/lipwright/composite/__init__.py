"""Putting the new face back: which pixels change, and how."""

from lipwright.composite.mask import mouth_mask
from lipwright.composite.native import paste_native

__all__ = ["mouth_mask", "paste_native"]
