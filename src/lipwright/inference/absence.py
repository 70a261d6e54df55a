"""What to do where no face is seen."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from lipwright.errors import NoFaceError
from lipwright.faces.follow import Face, FollowedPeople
from lipwright.inference.job import Job
from lipwright.media import NativeFrame


def with_absences(
    followed: Iterable[FollowedPeople[NativeFrame]], job: Job
) -> Iterator[FollowedPeople[NativeFrame]]:
    """Treat frames without a face as a job asks for.

    Args:
        followed: Frames in order; short gaps are bridged already.
        job: Says what to do.

    Yields:
        Every frame. Held faces stand where they were last seen in the shot, without landmarks.

    Raises:
        NoFaceError: At the first frame without a face, if the job asks for that.
    """
    policy = job.options.on_no_face
    last: list[Face | None] = []
    shot = 0
    for index, frame in enumerate(followed):
        if frame.shot != shot or not last:
            shot, last = frame.shot, [None] * len(frame.faces)
        if policy == "fail" and not any(frame.faces):
            raise NoFaceError(
                f"no face in frame {index} of '{job.face}', at {float(frame.time):.2f} s; with "
                f"--on-no-face pass such frames stay as they are, with --on-no-face hold the face "
                f"is taken to be where it was last seen"
            )
        last = [
            before if face is None else replace(face, landmarks=None)
            for before, face in zip(last, frame.faces, strict=True)
        ]
        if policy == "hold":
            held = (face or before for face, before in zip(frame.faces, last, strict=True))
            yield replace(frame, faces=tuple(held))
        else:
            yield frame
