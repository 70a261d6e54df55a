"""Formats, places and damage of files: rows of the matrix of situations."""

from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import cv2
import numpy as np
from situation import LOSSLESS, Situation, Words, as_stored, usual
from situation_clips import (
    Form,
    head,
    lasting,
    marked,
    wall,
    words,
    write_clip,
    write_film,
    write_speech,
)


def _transparent() -> np.ndarray:
    alpha = np.full((240, 240, 1), 255, dtype=np.uint8)
    alpha[:, :60] = 0
    return np.concatenate([head(), alpha], axis=2)


def _still(folder: Path) -> Words:
    cv2.imwrite(str(folder / "face.png"), cv2.cvtColor(head(), cv2.COLOR_RGB2BGR))
    return [folder / "face.png", write_speech(folder / "s.wav", words(0.6)), *LOSSLESS]


def _numbered(folder: Path, *, as_pattern: bool) -> Words:
    for index in range(12):
        shown = cv2.cvtColor(marked(head(), index), cv2.COLOR_RGB2BGR)
        (folder / "frames").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "frames" / f"{index + 1:05d}.png"), shown)
    speech = write_speech(folder / "s.wav", words(0.48))
    face = folder / "frames" / "%05d.png" if as_pattern else folder / "frames"
    return [face, speech] if as_pattern else [face, speech, *LOSSLESS]


class _Served(BaseHTTPRequestHandler):
    """Gives one video at every address."""

    content: ClassVar[bytes] = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


def _address(folder: Path) -> Words:
    face = write_clip(folder / "face.mp4", lasting(head(), 10))
    handler = type("_Handler", (_Served,), {"content": face.read_bytes()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()  # until the process ends
    speech = write_speech(folder / "s.wav", words(0.4))
    return [f"http://127.0.0.1:{server.server_address[1]}/face.mp4", speech, *LOSSLESS]


def _piped(folder: Path) -> Words:
    write_clip(folder / "made.mp4", lasting(head(), 10)).rename(folder / "stdin")
    return ["-", write_speech(folder / "s.wav", words(0.4)), *LOSSLESS]


def _film(folder: Path) -> Words:
    speech = write_speech(folder / "s.wav", words(0.6))
    return [write_film(folder / "face.mkv", num_frames=15), speech]


def _cut_off(folder: Path) -> Words:
    """The second half of the file is missing; its index stands at the front."""
    whole = write_clip(folder / "whole.mkv", lasting(head(), 40))
    stored = whole.read_bytes()
    (folder / "face.mkv").write_bytes(stored[: len(stored) // 2])
    return [folder / "face.mkv", write_speech(folder / "s.wav", words(0.4)), *LOSSLESS]


def _scratched(folder: Path) -> Words:
    """Some bytes in the middle are others."""
    form = Form(options={"g": "5"})
    stored = bytearray(write_clip(folder / "whole.mp4", lasting(head(), 30), form).read_bytes())
    middle = len(stored) // 2
    stored[middle : middle + 400] = bytes(range(200)) * 2
    (folder / "face.mp4").write_bytes(stored)
    return [folder / "face.mp4", write_speech(folder / "s.wav", words(1.2)), *LOSSLESS]


def _text(folder: Path) -> Words:
    (folder / "face.mp4").write_text("not a video")
    return [folder / "face.mp4", write_speech(folder / "s.wav", words(0.4))]


def _sound_alone(folder: Path) -> Words:
    speech = write_speech(folder / "s.wav", words(0.4))
    return [speech, speech]


def _mute_speech(folder: Path) -> Words:
    face = write_clip(folder / "face.mp4", lasting(head(), 10))
    return [face, write_clip(folder / "mute.mp4", lasting(wall(64, 64), 10))]


HDR10 = Form(
    codec="libx265", pixel_format="yuv420p10le", colours=(9, 16, 9),
    options={"x265-params": "log-level=none", "preset": "ultrafast"},
)  # fmt: skip
DEEP = Form(pixel_format="yuv420p10le")
GIF = Form(fps=Fraction(25, 2), pixel_format="rgb8")

FORMATS = (
    Situation("4:2:2", "stays 4:2:2", "test_4_2_2_stays_so",
              as_stored(head(), Form(pixel_format="yuv422p"))),
    Situation("4:4:4", "stays 4:4:4", "test_4_4_4_stays_so",
              as_stored(head(), Form(pixel_format="yuv444p"))),
    Situation("10 bit", "stays 10 bit", "test_10_bits_stay",
              as_stored(head(), DEEP, options=["--crf", "4", "--preset", "ultrafast"])),
    Situation("HDR (BT.2020, PQ)", "tags and depth are kept", "test_hdr_tags_stay",
              as_stored(head(), HDR10, options=["--crf", "10", "--preset", "ultrafast"])),
    Situation("transparent, ProRes 4444", "transparency is kept",
              "test_transparency_of_prores_stays",
              as_stored(_transparent(), Form(codec="prores_ks", pixel_format="yuva444p10le"),
                         name="face.mov", options=[]), "out.mov"),
    Situation("transparent, VP9", "transparency is kept", "test_transparency_of_vp9_stays",
              as_stored(_transparent(), Form(pixel_format="yuva420p"), name="face.webm",
                         options=["--preset", "ultrafast"]), "out.webm"),
    Situation("still picture", "speaks at 25 frames a second", "test_a_still_speaks", _still),
    Situation("GIF", "a video with its own delays", "test_a_gif_speaks",
              as_stored(head(), GIF, name="face.gif", num_frames=6)),
    Situation("GIF as output", "animation without sound", "test_a_gif_is_written",
              usual(num_frames=10), "out.gif"),
    Situation("folder of pictures", "a video at 25 frames a second",
              "test_a_folder_of_pictures_speaks", lambda f: _numbered(f, as_pattern=False)),
    Situation("pattern of pictures, to pictures", "as many PNG files",
              "test_pictures_become_pictures", lambda f: _numbered(f, as_pattern=True),
              "made-%03d.png"),
    Situation("http address", "read as a file is", "test_an_address_is_read", _address),
    Situation("standard input to output", "the video alone is piped", "test_a_video_is_piped",
              _piped, "-"),
    Situation("subtitles, chapters, title", "go along", "test_what_else_there_is_goes_along",
              _film),
    Situation("--video-codec libx265", "H.265", "test_another_codec_is_written",
              usual("--video-codec", "libx265", num_frames=10)),
    Situation("--pixel-format yuv422p10le", "as asked for", "test_another_format_is_written",
              usual("--pixel-format", "yuv422p10le", num_frames=10, is_exact=False)),
    Situation("file cut off in the middle", "what is there is used, its loss is told",
              "test_what_is_left_of_a_video_is_used", _cut_off),
    Situation("damaged bytes in the middle", "damage is told, the rest is drawn",
              "test_a_damaged_video_is_drawn", _scratched),
    Situation("no video at all", "error that names the file; no file",
              "test_a_file_that_is_no_video_is_an_error", _text),
    Situation("sound instead of a video", "error; no file",
              "test_sound_instead_of_a_face_is_an_error", _sound_alone),
    Situation("video without sound as speech", "error; no file",
              "test_a_speech_without_sound_is_an_error", _mute_speech),
)  # fmt: skip
