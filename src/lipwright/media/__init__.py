"""Pictures and sound in and out of files."""

from lipwright.media.retime import retime
from lipwright.media.sound import SPEECH_RATE, read_speech
from lipwright.media.stills import is_still_picture
from lipwright.media.video import Frame, VideoFrame, VideoInfo, probe, read_frames
from lipwright.media.writer import VideoWriter, require_writable

__all__ = [
    "SPEECH_RATE",
    "Frame",
    "VideoFrame",
    "VideoInfo",
    "VideoWriter",
    "is_still_picture",
    "probe",
    "read_frames",
    "read_speech",
    "require_writable",
    "retime",
]
