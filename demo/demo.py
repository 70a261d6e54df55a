"""Let a picture speak: scikit-image's astronaut (public domain) says a sentence of espeak-ng's.

python demo/demo.py
"""

from importlib.resources import files
from pathlib import Path

from lipwright import sync

SPEECH = Path(__file__).parent / "speech.flac"
OUT = Path("demo.mp4")


def main() -> None:
    """Render the video and say where it is."""
    face = Path(str(files("skimage.data") / "astronaut.png"))
    result = sync(face, SPEECH, OUT)
    print(
        f"rendered {result.num_frames} frames ({float(result.duration):.1f} s of video) in "
        f"{result.seconds:.1f} s"
    )
    print(f"look at {OUT.resolve()}")


if __name__ == "__main__":
    main()
