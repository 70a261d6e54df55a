"""``lipwright label``: faces with landmarks, to train a landmark network on."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lipwright.cli.progress import bars
from lipwright.corpus import load_split
from lipwright.corpus.facepack import ManyViews, label_corpus, write_faces
from lipwright.corpus.ledger import Split
from lipwright.faces import FaceMesh, Mtcnn

# Of the teacher, whose looks differ: training averages that out, a judgement must not have it.
_VIEWS: dict[Split, int] = {"train": 3, "val": 12}


def label_command(
    folders: Annotated[list[Path], Parameter(negative=())],
    *,
    to: Path,
    landmarks: Path,
    split: Path,
    corpus: Path | None = None,
    frames_per_clip: int = 8,
) -> None:
    """Label faces with the points that a large landmark network finds.

    Parameters
    ----------
    folders:
        Folders of videos, or of portraits.
    to:
        Folder to write: train.faces and val.faces.
    landmarks:
        The teacher: MediaPipe's face_landmark.tflite.
    split:
        Who is trained on and who is kept for judging: a TOML file.
    corpus:
        Corpus that prepare and puppets wrote: its puppets are labelled too.
    frames_per_clip:
        Frames labelled of each clip, evenly spread.
    """
    rule = load_split(split)
    detector, mesh = Mtcnn(min_face=0.15), FaceMesh(landmarks)
    for part, num_views in _VIEWS.items():
        with bars() as advance:
            faces = label_corpus(
                folders,
                corpus=corpus,
                rule=rule,
                split=part,
                count=frames_per_clip,
                teacher=(detector, ManyViews(mesh, num_views)),
                on_progress=lambda done, total, part=part: advance(  # type: ignore[misc]
                    f"labelling {part}", done, total
                ),
            )
            number = write_faces(faces, to / f"{part}.faces")
        print(f"{part}: {number} faces in {to / f'{part}.faces'}")
