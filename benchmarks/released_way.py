"""Compare a whole job with the way the released code works, on this machine.

    python benchmarks/released_way.py [--height 720] [--seconds 10]

The released way is rebuilt from networks of the same shape with weights of chance, for speed alone:
everything is decoded into memory, a face detector of the shape of S3FD (Zhang et al., ICCV 2017)
looks at every frame, the generator of the released architecture draws every face, both in torch and
32 bit floating point, every frame is encoded as MPEG-4, and the result once more with the sound. A
few frames of each step are timed and counted for a second of video. Ours is a whole job.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from av.video.stream import VideoStream
from numpy.typing import NDArray
from scenes import FPS, write_scene, write_speech
from torch import Tensor, nn

from lipwright import SyncOptions, sync
from lipwright.checkpoints import DEFAULT_MODEL
from lipwright.media import VideoWriter, read_frames
from lipwright.models.build import build_network

SPEECH = Path(__file__).parents[1] / "demo" / "speech.flac"
NUM_FRAMES = 25  # decoded and encoded for a measurement: a second
NUM_DETECTED = 2  # frames that the detector is timed on: it takes seconds for each
NUM_DRAWN = 16  # faces that the generator is timed on
_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # of VGG-16: channels, layers


class Detector(nn.Module):
    """The layers of S3FD: VGG-16, four more, and two small heads on each of six maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        channels = 3
        for width, depth in _STAGES:
            layers: list[nn.Module] = []
            for _ in range(depth):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            self.stages.append(nn.Sequential(*layers))
        self.pool = nn.MaxPool2d(2)
        self.wide = nn.Sequential(
            nn.Conv2d(512, 1024, 3, padding=3), nn.ReLU(inplace=True),
            nn.Conv2d(1024, 1024, 1), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.last = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, within, 1), nn.ReLU(inplace=True),
                nn.Conv2d(within, after, 3, stride=2, padding=1), nn.ReLU(inplace=True),
            )
            for before, within, after in ((1024, 256, 512), (512, 128, 256))
        )  # fmt: skip
        self.heads = nn.ModuleList(
            nn.Conv2d(width, 6, 3, padding=1) for width in (256, 512, 512, 1024, 512, 256)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """``(B, 3, H, W)`` -> a score map and boxes for each scale."""
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index >= 2:
                maps.append(x)
            x = self.pool(x)
        x = self.wide(x)
        maps.append(x)
        for stage in self.last:
            x = stage(x)
            maps.append(x)
        return [head(seen) for head, seen in zip(self.heads, maps, strict=True)]


def main() -> None:
    """Print a table of both ways."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    height, seconds = arguments.height, arguments.seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = write_scene(
            folder / "scene.mp4", width=height * 16 // 9, height=height, seconds=seconds
        )
        speech = write_speech(SPEECH, folder / "speech.wav", seconds=seconds)
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            ours.append(time_of(lambda: job(scene, speech, folder / "out.mp4")) / seconds)
            theirs.append(released_steps(scene, speech, folder))
    steps = {step: statistics.median(each[step] for each in theirs) for step in theirs[0]}
    total, own = sum(steps.values()), statistics.median(ours)
    print("| the released way | seconds for a second of video |\n|---|---|")
    for step, value in steps.items():
        print(f"| {step} | {value:.2f} |")
    print(f"| **sum** | **{total:.1f}** |\n| lipwright sync | {own:.2f} |")
    print(
        f"\n{height}p: {total / own:.0f} times as fast; torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, {platform.machine()}"
    )


def job(scene: Path, speech: Path, out: Path) -> None:
    """Ours, with nothing known of the face before."""
    sync(scene, speech, out, model=DEFAULT_MODEL, options=SyncOptions(use_cache=False))


@torch.inference_mode()
def released_steps(scene: Path, speech: Path, folder: Path) -> dict[str, float]:
    """Seconds that each step takes for a second of video."""
    frames = [frame.pixels for frame in islice(read_frames(scene), NUM_FRAMES)]
    detector = Detector().eval()
    generator = build_network("generator", "wav2lip", {}).eval()
    seen = torch.from_numpy(np.stack(frames[:NUM_DETECTED])).permute(0, 3, 1, 2).float()
    faces = torch.rand(NUM_DRAWN, 6, 96, 96)
    mel = torch.rand(NUM_DRAWN, 1, 80, 16)
    silent, whole = folder / "silent.avi", folder / "whole.mp4"
    return {
        "decode everything to RGB": time_of(
            lambda: [frame.pixels for frame in islice(read_frames(scene), NUM_FRAMES)]
        ),
        "detect in every frame": FPS / NUM_DETECTED * time_of(lambda: detector(seen)),
        "draw": FPS / NUM_DRAWN * time_of(lambda: generator(mel, faces)),
        "encode as MPEG-4": time_of(lambda: encode_mpeg4(frames, silent)),
        "encode again with the sound": time_of(lambda: encode_again(silent, speech, whole)),
    }


def encode_mpeg4(frames: list[NDArray[np.uint8]], out: Path) -> None:
    """Write frames without sound."""
    height, width = frames[0].shape[:2]
    with av.open(str(out), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        if not isinstance(stream, VideoStream):
            raise TypeError(f"mpeg4 made a {stream.type} stream")
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def encode_again(silent: Path, speech: Path, out: Path) -> None:
    """Decode what was written and encode it with its sound."""
    first = next(read_frames(silent)).pixels
    height, width = first.shape[:2]
    with VideoWriter(out, width=width, height=height, fps=Fraction(FPS), speech=speech) as writer:
        for frame in read_frames(silent):
            writer.write(frame.pixels, frame.time)


def time_of(work: Callable[[], object]) -> float:
    """Seconds that a piece of work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
