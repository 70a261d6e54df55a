"""The networks, nothing else: no files, devices or training. Needs the ``train`` extra (torch)."""

from lipwright.errors import require

require("torch", extra="train")
