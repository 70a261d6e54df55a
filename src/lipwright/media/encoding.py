"""Say how pictures are encoded: one quality and speed scale for every encoder that may be there."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
from av.codec.codec import UnknownCodecError
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext

from lipwright.errors import ConfigError, MediaError
from lipwright.media.hdr import Hdr
from lipwright.media.pixel_layout import PixelLayout, find_layout

PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast",
    "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
WORST_CRF = 51
WORST_QUANTISER = 63  # of VP9 and AV1, whose scale of the rate factor is longer
# By the place of a preset in PRESETS.
_SVT_PRESETS = (12, 11, 10, 9, 8, 7, 5, 4, 2, 1)
_VP9_SPEEDS = (5, 5, 4, 4, 3, 2, 2, 1, 1, 0)
_NVENC_PRESETS = ("p1", "p1", "p2", "p3", "p4", "p4", "p5", "p6", "p7", "p7")

# What x264 and x265 call the metadata of a graded screen.
_HDR_NAMES = {"libx264": ("mastering-display", "cll"), "libx265": ("master-display", "max-cll")}
_CENTRED_CHROMA = 1  # chroma_sample_loc_type of H.264 and H.265

Options = dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """What is known of an encoder before it is opened."""

    name: str
    """In FFmpeg."""
    containers: tuple[str, ...]
    """Suffixes of the containers that hold what it makes."""
    options: Callable[[int, str], Options]
    """Its own options, from a rate factor and a preset of x264's scales."""
    is_hardware: bool = False
    """Whether it needs a chip or a driver, so that having it says nothing about using it."""
    has_alpha: bool = False
    """Whether what it makes may be transparent."""


def _x264(crf: int, preset: str) -> Options:
    # A rate factor of 0 is lossless at 8 bits only.
    quality = {"qp": "0"} if crf == 0 else {"crf": str(crf)}
    return {"preset": preset, "a53cc": "0", **quality}


def _x265(crf: int, preset: str) -> Options:
    quality = "lossless=1" if crf == 0 else f"crf={crf}"
    return {"preset": preset, "a53cc": "0", "x265-params": f"log-level=error:{quality}"}


def _scaled(crf: int) -> int:
    return round(crf * WORST_QUANTISER / WORST_CRF)


def _svt_av1(crf: int, preset: str) -> Options:
    options = {"preset": str(_SVT_PRESETS[PRESETS.index(preset)]), "crf": str(_scaled(crf))}
    return options | ({"svtav1-params": "lossless=1"} if crf == 0 else {})


def _vp9(crf: int, preset: str) -> Options:
    quality = {"lossless": "1"} if crf == 0 else {"crf": str(_scaled(crf)), "b": "0"}
    speed = str(_VP9_SPEEDS[PRESETS.index(preset)])
    return {"deadline": "good", "cpu-used": speed, "row-mt": "1", **quality}


def _prores(crf: int, _preset: str) -> Options:
    """Quantisers of a macroblock; ProRes is intra-only and knows no speeds."""
    return {"global_quality": str(118 * max(1, round(crf / 4))), "flags": "+qscale"}


def _nvenc(crf: int, preset: str) -> Options:
    speed = _NVENC_PRESETS[PRESETS.index(preset)]
    if crf == 0:
        return {"preset": speed, "tune": "lossless"}
    return {"preset": speed, "rc": "vbr", "cq": str(crf), "b": "0"}


def _quick_sync(crf: int, preset: str) -> Options:
    index = min(max(PRESETS.index(preset), 2), 8)  # knows veryfast to veryslow
    return {"preset": PRESETS[index], "global_quality": str(max(1, crf))}


def _video_toolbox(crf: int, _preset: str) -> Options:
    share = 100 - round(crf * 100 / WORST_CRF)  # its scale is 1 (worst) to 100
    return {"global_quality": str(118 * max(1, share)), "flags": "+qscale", "allow_sw": "0"}


def _amf(crf: int, preset: str) -> Options:
    place = PRESETS.index(preset)
    speed = "speed" if place < 4 else "balanced" if place < 6 else "quality"
    return {"quality": speed, "rc": "cqp", "qp_i": str(crf), "qp_p": str(crf)}


_H26X = (".mp4", ".mkv", ".mov")
_AV1 = (".mp4", ".mkv", ".webm")


def _hardware(kind: str, options: Callable[[int, str], Options]) -> tuple[Encoder, ...]:
    """The H.264 and H.265 encoders of one kind of chip."""
    return tuple(
        Encoder(name=f"{family}_{kind}", containers=_H26X, options=options, is_hardware=True)
        for family in ("h264", "hevc")
    )


ENCODERS = {
    encoder.name: encoder
    for encoder in (
        Encoder(name="libx264", containers=_H26X, options=_x264),
        Encoder(name="libx265", containers=_H26X, options=_x265),
        Encoder(name="libsvtav1", containers=_AV1, options=_svt_av1),
        Encoder(
            name="libvpx-vp9",
            containers=(".webm", ".mkv", ".mp4"),
            options=_vp9,
            has_alpha=True,
        ),
        Encoder(name="prores_ks", containers=(".mov", ".mkv"), options=_prores, has_alpha=True),
        *_hardware("nvenc", _nvenc),
        *_hardware("qsv", _quick_sync),
        *_hardware("videotoolbox", _video_toolbox),
        *_hardware("amf", _amf),
        Encoder(name="av1_nvenc", containers=_AV1, options=_nvenc, is_hardware=True),
        Encoder(name="av1_qsv", containers=_AV1, options=_quick_sync, is_hardware=True),
        Encoder(name="av1_amf", containers=_AV1, options=_amf, is_hardware=True),
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """How pictures are encoded."""

    codec: str | None = None
    """Encoder: libx264, libx265, libsvtav1, libvpx-vp9, prores_ks, or one of a chip, such as
    h264_nvenc; by default what the container is known for, with transparency if it may."""
    crf: int = 18
    """Quality: 0 (lossless where the codec can) to 51 (worst), on x264's scale whatever the
    codec."""
    preset: str = "veryfast"
    """Speed: ultrafast to placebo, as x264 calls them; ProRes and VideoToolbox know one only."""
    pixel_format: str | None = None
    """Of the encoded pictures, such as ``yuv420p10le``; by default the nearest to the source's."""

    def __post_init__(self) -> None:
        """Refuse what no encoder takes.

        Raises:
            ConfigError: If a value is out of its range or the two formats do not fit.
        """
        if self.codec is not None and self.codec not in ENCODERS:
            raise ConfigError(f"codec must be one of {', '.join(ENCODERS)}, got {self.codec!r}")
        if not 0 <= self.crf <= WORST_CRF:
            raise ConfigError(f"crf must be 0 (best) to {WORST_CRF} (worst), got {self.crf}")
        if self.preset not in PRESETS:
            raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        if self.pixel_format is not None:
            self._check_format(self.pixel_format)

    def _check_format(self, name: str) -> None:
        layout = find_layout(name)
        if layout is None or layout.family != "ycbcr":
            raise ConfigError(
                f"pixel_format must be of Y Cb Cr, such as yuv420p or yuv422p10le, got {name!r}"
            )
        if self.codec is not None and (held := formats_of(self.codec)) and layout not in held:
            names = ", ".join(entry.name for entry in held)
            raise ConfigError(f"pixel_format of {self.codec} must be one of {names}, got {name!r}")


@cache
def formats_of(codec: str) -> tuple[PixelLayout, ...]:
    """The formats of Y Cb Cr that an encoder takes; none where this build does not have it."""
    try:
        formats = av.Codec(codec, "w").video_formats or []
    except UnknownCodecError:
        return ()
    layouts = (find_layout(entry.name) for entry in formats)
    return tuple(
        layout
        for layout in layouts
        if layout is not None
        and layout.family == "ycbcr"
        and (ENCODERS[codec].has_alpha or not layout.has_alpha)
    )


@cache
def is_available(codec: str) -> bool:
    """Whether an encoder is in this build and, if it needs a chip, can be opened here."""
    held = formats_of(codec)
    if not held or not ENCODERS[codec].is_hardware:
        return bool(held)
    context = av.CodecContext.create(codec, "w")
    if not isinstance(context, VideoCodecContext):
        return False
    context.width, context.height, context.pix_fmt = 256, 256, held[0].name
    context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
    with av.logging.Capture():  # what is not there is no error
        try:
            context.open()
        except (FFmpegError, ValueError):
            return False
    return True


def available_encoders() -> tuple[str, ...]:
    """The encoders that can be used here."""
    return tuple(name for name in ENCODERS if is_available(name))


def require_encoder(codec: str, suffix: str) -> None:
    """Refuse an encoder that cannot be used here, or not in a container.

    Args:
        codec: A name of `ENCODERS`.
        suffix: Of the container: a key of `CONTAINERS`.

    Raises:
        MediaError: With those that can.
    """
    if not is_available(codec):
        raise MediaError(
            f"the encoder {codec} cannot be used here (not built in, or no chip for it); "
            f"use {', '.join(available_encoders())}"
        )
    containers = ENCODERS[codec].containers
    if suffix not in containers:
        fitting = [name for name in available_encoders() if suffix in ENCODERS[name].containers]
        raise MediaError(
            f"{suffix} does not hold what {codec} makes; use {', '.join(fitting)}, "
            f"or write {', '.join(containers)}"
        )


def require_format(codec: str, pixel_format: str | None) -> None:
    """Refuse a pixel format that the encoder that was chosen does not take.

    Raises:
        MediaError: With those that it takes.
    """
    names = [layout.name for layout in formats_of(codec)]
    if pixel_format is not None and pixel_format not in names:
        raise MediaError(
            f"{codec} does not take the pixel format {pixel_format}; use {', '.join(names)}"
        )


def encoder_options(
    codec: str, encoding: Encoding, *, hdr: Hdr | None, is_chroma_centred: bool
) -> Options:
    """What to tell an encoder.

    Args:
        codec: A name of `ENCODERS`.
        encoding: Its quality and speed are taken.
        hdr: What to say of the screen that the pictures were graded on; see `holds_hdr`.
        is_chroma_centred: Whether chroma of 4:2:0 is sited between the luma columns.
    """
    options = ENCODERS[codec].options(encoding.crf, encoding.preset)
    if codec not in _HDR_NAMES:
        return options
    key = codec.removeprefix("lib") + "-params"
    params = [options[key]] if key in options else []
    if hdr is not None:
        said = zip(_HDR_NAMES[codec], (hdr.mastering, hdr.light), strict=True)
        params += [f"{name}={text}" for name, text in said if text]
    if is_chroma_centred:
        params.append(f"chromaloc={_CENTRED_CHROMA}")
    return options | ({key: ":".join(params)} if params else {})


def holds_hdr(codec: str) -> bool:
    """Whether an encoder can be told the static metadata of high dynamic range."""
    return codec in _HDR_NAMES


def is_h265(codec: str) -> bool:
    """Whether an encoder makes H.265."""
    return codec == "libx265" or codec.startswith("hevc_")
