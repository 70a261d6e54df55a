"""Pictures and sound in and out of files."""

from lipwright.media.destination import FrameWriter, open_writer, require_output
from lipwright.media.encodable import encodable
from lipwright.media.encoding import Encoding, available_encoders
from lipwright.media.extras import Extras
from lipwright.media.intake import local_file
from lipwright.media.native import NativeFrame, native_still, read_native
from lipwright.media.native_rgb import rgb_region, thumbnail
from lipwright.media.native_writer import NativeWriter
from lipwright.media.output import Pipe, require_writable
from lipwright.media.retime import retime
from lipwright.media.segment_writer import SegmentWriter
from lipwright.media.sound import (
    SPEECH_RATE,
    SoundTrack,
    read_sound,
    read_speech,
    read_speech_blocks,
)
from lipwright.media.stills import is_still_picture
from lipwright.media.video import Frame, VideoFrame, VideoInfo, probe, read_frames
from lipwright.media.writer import VideoWriter

__all__ = [
    "SPEECH_RATE",
    "Encoding",
    "Extras",
    "Frame",
    "FrameWriter",
    "NativeFrame",
    "NativeWriter",
    "Pipe",
    "SegmentWriter",
    "SoundTrack",
    "VideoFrame",
    "VideoInfo",
    "VideoWriter",
    "available_encoders",
    "encodable",
    "is_still_picture",
    "local_file",
    "native_still",
    "open_writer",
    "probe",
    "read_frames",
    "read_native",
    "read_sound",
    "read_speech",
    "read_speech_blocks",
    "require_output",
    "require_writable",
    "retime",
    "rgb_region",
    "thumbnail",
]
