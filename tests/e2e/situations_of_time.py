"""Speech and video of different lengths, and what is heard: rows of the matrix of situations."""

from pathlib import Path

import numpy as np
from situation import LOSSLESS, Command, Situation, Words, usual
from situation_clips import Form, head, lasting, tone, wall, words, write_clip, write_speech


def _streams(*options: str, num_said: int = 2, keeps: bool = False) -> Command:
    """Speech in one of two streams of sound of a video, the other a tone."""

    def command(folder: Path) -> Words:
        sounds = (tone(0.6), words(0.6))[:num_said]
        own = Form(sounds=(tone(0.6, hertz=880),)) if keeps else None
        face = write_clip(folder / "face.mp4", lasting(head(), 15), own)
        said = write_clip(folder / "s.mkv", lasting(wall(64, 64), 15), Form(sounds=sounds))
        return [face, said, *LOSSLESS, *options]

    return command


def _paused(*options: str) -> Command:
    def command(folder: Path) -> Words:
        quiet = np.zeros(16_000 * 6 // 5, dtype=np.float32)
        speech = np.concatenate([words(0.6), quiet, words(0.4, start=1)])
        face = write_clip(folder / "face.mp4", lasting(head(), 55))
        return [face, write_speech(folder / "s.wav", speech), *LOSSLESS, *options]

    return command


def _silent(folder: Path) -> Words:
    face = write_clip(folder / "face.mp4", lasting(head(), 15))
    return [face, write_speech(folder / "s.wav", np.zeros(9600, dtype=np.float32)), *LOSSLESS]


def _segment(folder: Path) -> Words:
    form = Form(options={"g": "10", "sc_threshold": "0"}, sounds=(tone(2.0),))
    face = write_clip(folder / "face.mp4", lasting(head(), 50), form)
    speech = write_speech(folder / "s.wav", words(0.4))
    return [face, speech, "--segment", "0.8-1.16", "--crf", "10"]


TIME = (
    Situation(
        "speech longer than the video", "the video's end is played to and fro",
        "test_a_longer_speech_sees_the_end_to_and_fro", usual(num_frames=10, said=0.8),
    ),
    Situation(
        "--extend loop", "the video is played again from the start, dissolving",
        "test_a_longer_speech_may_see_a_loop",
        usual("--extend", "loop", num_frames=20, said=1.4),
    ),
    Situation(
        "--extend freeze", "the last picture stands, its mouth goes on",
        "test_a_longer_speech_may_see_the_last_picture",
        usual("--extend", "freeze", num_frames=10, said=0.8),
    ),
    Situation(
        "--extend trim", "the speech is cut where the video ends",
        "test_a_longer_speech_may_be_cut", usual("--extend", "trim", num_frames=10, said=0.8),
    ),
    Situation(
        "speech shorter than the video", "the video is cut where the speech ends",
        "test_a_longer_video_is_cut", usual(num_frames=25, said=0.6),
    ),
    Situation(
        "--after-speech rest", "the video goes on, its mouth drawn at rest",
        "test_a_longer_video_may_go_on_at_rest",
        usual("--after-speech", "rest", num_frames=40, said=0.6),
    ),
    Situation(
        "--after-speech original", "the video goes on as it was, told as `no speech`",
        "test_a_longer_video_may_go_on_as_it_was",
        usual("--after-speech", "original", num_frames=25, said=0.6),
    ),
    Situation(
        "--speech-offset 0.4", "silence first; picture and sound move together",
        "test_a_speech_may_begin_later",
        usual("--speech-offset", "0.4", num_frames=25, said=0.6),
    ),
    Situation(
        "--speech-offset -0.4", "the speech's beginning is left out",
        "test_a_speech_may_lose_its_beginning",
        usual("--speech-offset=-0.4", num_frames=25, said=1.0),
    ),
    Situation(
        "--speech-offset beyond the speech", "error that names both; no file",
        "test_a_speech_of_which_nothing_is_left_is_an_error", usual("--speech-offset=-5"),
    ),
    Situation(
        "--speech-stream 1", "the second stream of sound is the speech",
        "test_a_stream_of_sound_is_chosen", _streams("--speech-stream", "1"),
    ),
    Situation(
        "--speech-stream 5 of two", "error that says how many there are; no file",
        "test_a_stream_that_is_not_there_is_an_error", _streams("--speech-stream", "5"),
    ),
    Situation(
        "--keep-sound", "the video's own sound is a second track, off by default",
        "test_the_videos_own_sound_is_kept", _streams("--keep-sound", keeps=True),
    ),
    Situation(
        "--keep-sound, video without sound", "one track, the speech",
        "test_a_silent_video_has_no_sound_to_keep", usual("--keep-sound"),
    ),
    Situation(
        "--amplitude 0", "the mouth keeps still", "test_no_amplitude_is_a_mouth_at_rest",
        usual("--amplitude", "0"),
    ),
    Situation(
        "pause of 1.2 s in the speech", "the mouth comes to rest", "test_a_mouth_rests_in_pauses",
        _paused(),
    ),
    Situation(
        "silence only", "the mouth is drawn at rest", "test_silence_is_a_mouth_at_rest", _silent,
    ),
    Situation(
        "speech of 0.24 s", "six frames", "test_a_very_short_speech_is_said",
        usual(num_frames=15, said=0.24),
    ),
    Situation(
        "speech of 0.1 s", "error: 0.2 s are needed; no file",
        "test_a_speech_too_short_to_say_is_an_error", usual(said=0.1),
    ),
    Situation(
        "--segment", "packets outside the touched groups of pictures are those of the source",
        "test_packets_outside_a_segment_are_kept", _segment,
    ),
)  # fmt: skip
