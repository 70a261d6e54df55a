"""What a run leaves behind: scalars for TensorBoard, the same as lines of JSON, and sheets."""

import json
import logging
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

log = logging.getLogger(__name__)


METRICS_NAME = "metrics.jsonl"


class RunLog:
    """The written record of a run, in its folder."""

    def __init__(self, folder: Path, *, first_step: int = 0) -> None:
        """Open the record; an earlier one is added to.

        Args:
            folder: The run folder; must exist.
            first_step: Steps already taken; what an earlier run recorded beyond them, it will do
                again, so that is dropped.
        """
        self._folder = folder
        _drop_later(folder / METRICS_NAME, first_step)
        self._board = SummaryWriter(log_dir=str(folder / "board"), purge_step=first_step + 1)
        self._lines = (folder / METRICS_NAME).open("a", encoding="utf-8")

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Record named numbers of a step, such as ``generator/l1``."""
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        self._lines.write(json.dumps({"step": step, **rounded}) + "\n")
        self._lines.flush()
        shown = " ".join(f"{name}={value:.4g}" for name, value in values.items())
        log.info("step %d: %s", step, shown)

    def sheet(self, step: int, picture: NDArray[np.uint8]) -> None:
        """Record a picture, ``(H, W, 3)`` uint8 RGB, as a PNG and for TensorBoard."""
        self._board.add_image("sheet", picture, step, dataformats="HWC")
        folder = self._folder / "sheets"
        folder.mkdir(exist_ok=True)
        path = folder / f"{step:07d}.png"
        if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
            log.warning("could not write %s", path)

    def close(self) -> None:
        """Write what is left."""
        self._board.close()
        self._lines.close()


def _drop_later(path: Path, step: int) -> None:
    """Keep the lines of a record up to a step; a torn last line goes too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            log.warning("%s holds a damaged line; dropped", path)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text("".join(kept), encoding="utf-8")
    temporary.replace(path)
