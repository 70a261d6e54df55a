"""Draw the picture of the README: frames of a video, and close-ups of the mouth below them.

python benchmarks/contact_sheet.py demo.mp4 docs/demo.png
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from lipwright.faces import Mtcnn, crop_box, crop_face
from lipwright.media import read_frames

COLUMNS, TILE = 6, 200  # pictures beside each other, and their side in pixels


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--start", type=float, default=0.3, help="seconds")
    parser.add_argument("--step", type=float, default=0.16, help="seconds from tile to tile")
    arguments = parser.parse_args()
    wanted = [arguments.start + arguments.step * column for column in range(COLUMNS)]
    frames = []
    for frame in read_frames(arguments.video):
        if len(frames) < COLUMNS and frame.time >= wanted[len(frames)]:
            frames.append(frame.pixels)
    box = crop_box(Mtcnn().detect(frames[0])[0].landmarks)
    side = box[2] - box[0]
    head = np.array([box[0] - side * 0.5, box[1] - side * 0.7, box[2] + side * 0.5, 0.0])
    head[3] = head[1] + head[2] - head[0]
    mouth = np.array([box[0] + side * 0.22, box[1] + side * 0.4, box[2] - side * 0.22, 0.0])
    mouth[3] = mouth[1] + mouth[2] - mouth[0]
    rows = [
        np.hstack([crop_face(frame, region.astype(np.float32), size=TILE) for frame in frames])
        for region in (head, mouth)
    ]
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.picture), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    print(arguments.picture)


if __name__ == "__main__":
    main()
