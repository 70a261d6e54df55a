"""Pictures and sound in and out of files."""

from lipwright.media.encodable import encodable
from lipwright.media.native import NativeFrame, native_still, read_native
from lipwright.media.native_rgb import rgb_region, thumbnail
from lipwright.media.native_writer import NativeWriter
from lipwright.media.retime import retime
from lipwright.media.sound import SPEECH_RATE, read_speech
from lipwright.media.stills import is_still_picture
from lipwright.media.video import Frame, VideoFrame, VideoInfo, probe, read_frames
from lipwright.media.writer import VideoWriter, require_writable

__all__ = [
    "SPEECH_RATE",
    "Frame",
    "NativeFrame",
    "NativeWriter",
    "VideoFrame",
    "VideoInfo",
    "VideoWriter",
    "encodable",
    "is_still_picture",
    "native_still",
    "probe",
    "read_frames",
    "read_native",
    "read_speech",
    "require_writable",
    "retime",
    "rgb_region",
    "thumbnail",
]
