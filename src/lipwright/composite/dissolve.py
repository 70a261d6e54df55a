"""Dissolve from one picture into another in their own pixel format."""

import numpy as np

from lipwright.media import NativeFrame


def dissolve(before: NativeFrame, after: NativeFrame, share: float) -> NativeFrame:
    """Mix two pictures of one video.

    Args:
        before: Where it comes from.
        after: Where it goes to; format, size and time stamp of the result are its own.
        share: Of the picture after, in [0, 1].

    Returns:
        The mixture; the picture after as it is, where the two differ in format or size.
    """
    pictures = before.picture, after.picture
    sizes = {(picture.width, picture.height, picture.format.name) for picture in pictures}
    if len(sizes) > 1:
        return after
    mixed, planes = after.edited()
    for plane, old in zip(planes, before.planes(), strict=True):
        was = old.astype(np.float32)
        plane[...] = np.rint(was + share * (plane - was)).astype(plane.dtype)
    return mixed
