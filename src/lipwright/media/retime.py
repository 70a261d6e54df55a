"""Bring a video to a constant frame rate by repeating and dropping frames."""

from collections.abc import Iterator
from fractions import Fraction

from lipwright.media.video import VideoFrame

# Half a tick of the coarsest clock in use, the millisecond of Matroska: a frame that was due at
# 66.733 ms and stored as 67 ms is still the frame of 66.733 ms.
TOLERANCE = Fraction(1, 2000)


def retime(frames: Iterator[VideoFrame], *, fps: Fraction) -> Iterator[VideoFrame]:
    """Resample to a constant rate; memory holds two frames.

    Output frame k, at time k / fps, shows the last source frame that begins no later than half a
    millisecond after that time; before the first source frame it shows the first. The last source
    frame is taken to last as long as the average one (one output frame if it is alone), and the
    output ends where it ends. Frames already at k / fps come through unchanged.

    Args:
        frames: Frames in the order of time, such as `read_frames` gives.
        fps: Rate to bring them to, in frames per second.

    Yields:
        Frames at exactly k / fps; pixels are shared with the source, not copied.
    """
    num_out = 0
    num_in = 0
    start = Fraction(0)
    shown: VideoFrame | None = None
    for frame in frames:
        if shown is None:
            start = frame.time
        else:
            while num_out / fps + TOLERANCE < frame.time:
                yield VideoFrame(pixels=shown.pixels, time=num_out / fps)
                num_out += 1
        shown = frame
        num_in += 1
    if shown is None:
        return
    period = (shown.time - start) / (num_in - 1) if num_in > 1 else 1 / fps
    # The end is the difference of two rounded times: at most three half ticks late.
    while num_out / fps + 3 * TOLERANCE < shown.time + period:
        yield VideoFrame(pixels=shown.pixels, time=num_out / fps)
        num_out += 1
