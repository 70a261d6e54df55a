import gc
import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from media_makers import picture, write_video
from numpy.typing import NDArray
from skimage import data

from lipwright.errors import ConfigError, MediaError
from lipwright.faces import crop_face
from lipwright.media import read_frames
from lipwright.media.display import Display, between_centres, display_to_stored
from lipwright.media.native import MOST_ASKED, NativeFrame, colour_of, read_native
from lipwright.media.native_rgb import rgb, rgb_region, thumbnail
from lipwright.media.pixel_layout import (
    Colour,
    codes_from_rgb,
    find_layout,
    layout_of,
    nearest_layout,
    rgb_from_codes,
)

RAW = [
    "yuv420p", "yuv422p", "yuv444p", "nv12", "yuv420p10le", "yuv422p10le",
    "yuv444p12le", "yuva420p", "yuva444p10le", "gray", "gray10le", "gbrp", "gbrp10le", "rgb24",
    "bgr24", "rgba", "bgra", "rgb48le",
]  # fmt: skip
OTHERS = [
    "yuyv422",
    "uyvy422",
    "yuv411p",
    "y210le",
    "rgb565le",
    "0rgb",
    "yuv420p10be",
    "ya8",
    "pal8",
]


def box(*edges: float) -> NDArray[np.float32]:
    return np.array(edges, dtype=np.float32)


def photo(width: int = 128, height: int = 96) -> NDArray[np.uint8]:
    """A face, in colours that differ in every corner."""
    face = data.astronaut()[40:232, 96:352]
    return np.asarray(cv2.resize(face, (width, height), interpolation=cv2.INTER_AREA))


def picture_in(
    pixel_format: str, pixels: NDArray[np.uint8], *, matrix: int = 1, color_range: int = 1
) -> av.VideoFrame:
    """RGB pixels in any format."""
    source = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    is_full = pixel_format.startswith(("yuvj", "gray"))
    frame = source.reformat(
        format=pixel_format,
        dst_colorspace=matrix,
        dst_color_range=2 if is_full else color_range,
        interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND,
    )
    if not frame.format.is_rgb:
        frame.colorspace, frame.color_range = matrix, 2 if is_full else color_range
    frame.pts = 0
    return frame


def write_raw(
    folder: Path,
    pixel_format: str,
    *,
    pixels: NDArray[np.uint8] | None = None,
    matrix: int = 1,
    color_range: int = 1,
) -> Path:
    """One lossless picture in any format; only FFV1 in Matroska keeps the tags."""
    frame = picture_in(
        pixel_format, photo() if pixels is None else pixels, matrix=matrix, color_range=color_range
    )
    can_ffv1 = "rgb48" not in pixel_format and pixel_format in {
        entry.name for entry in av.Codec("ffv1", "w").video_formats or []
    }
    path = folder / ("a.mkv" if can_ffv1 else "a.nut")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1" if can_ffv1 else "rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixel_format
        stream.colorspace, stream.color_range = frame.colorspace, frame.color_range
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def native_in(pixel_format: str, pixels: NDArray[np.uint8]) -> NativeFrame:
    """A frame in a format that no file holds."""
    frame = picture_in(pixel_format, pixels)
    layout = layout_of(pixel_format)
    return NativeFrame(
        picture=frame,
        time=Fraction(0),
        layout=layout,
        colour=colour_of(frame, layout),
        display=Display(width=frame.width, height=frame.height),
    )


def write_x264(path: Path, options: dict[str, str], frames: Sequence[NDArray[np.uint8]]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.codec_context.time_base = Fraction(1, 25)
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def test_times_and_order_are_those_of_read_frames(tmp_path: Path) -> None:
    times = [Fraction(n, 1000) for n in (0, 40, 55, 200, 1200, 1233)]
    path = write_video(tmp_path / "a.mp4", times=times)
    assert [frame.time for frame in read_native(path)] == times
    for native, frame in zip(read_native(path), read_frames(path), strict=True):
        np.testing.assert_array_equal(rgb(native), frame.pixels)


def test_a_missing_file_is_told_at_the_call(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        read_native(tmp_path / "none.mp4")


def test_a_file_cut_short_is_told_as_by_read_frames(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.avi", num_frames=40).read_bytes()
    path = tmp_path / "b.avi"
    path.write_bytes(whole[: len(whole) // 2])
    messages = []
    for reader in (read_frames, read_native):
        with pytest.raises(MediaError) as caught:
            list(reader(path))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def accurate(native: NativeFrame) -> NDArray[np.uint8]:
    """The whole picture in RGB, without the shortcuts that the library takes by default.

    By default it repeats chroma, and rounds down: RGB from it is about a level too dark.
    """
    how = Interpolation.BILINEAR | Interpolation.ACCURATE_RND
    how |= Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
    converted = native.picture.reformat(
        format="rgb24", src_colorspace=native.colour.matrix, interpolation=how
    )
    return np.asarray(converted.to_ndarray(), dtype=np.uint8)


SQUARES = [box(30, 10, 94, 74), box(20.3, 5.6, 100.1, 85.4), box(40, 40, 60, 60)]


def test_a_region_is_what_cropping_the_picture_of_read_frames_gives(tmp_path: Path) -> None:
    path = write_raw(tmp_path, "yuv420p", pixels=photo(256, 192))
    (native,), (frame,) = read_native(path), read_frames(path)
    for square, size in ((box(60, 20, 188, 148), 96), (box(20.3, 5.6, 200.1, 185.4), 128)):
        expected = crop_face(frame.pixels, square, size=size)
        assert difference(rgb_region(native, square, size=size), expected) <= 1.5


@pytest.mark.parametrize("pixel_format", RAW)
def test_a_region_has_the_colours_of_the_whole_picture(tmp_path: Path, pixel_format: str) -> None:
    path = write_raw(tmp_path, pixel_format)
    (native,), (frame,) = read_native(path), read_frames(path)
    assert native.picture.format.name == native.layout.name == pixel_format
    np.testing.assert_array_equal(rgb(native), frame.pixels)
    for square in SQUARES:
        expected = crop_face(accurate(native), square, size=64)
        assert difference(rgb_region(native, square, size=64), expected) <= 1


@pytest.mark.parametrize("matrix", [1, 5, 9, 2])
@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p10le"])
def test_matrix_and_range_are_read_from_the_tags(
    tmp_path: Path, matrix: int, color_range: int, pixel_format: str
) -> None:
    path = write_raw(tmp_path, pixel_format, matrix=matrix, color_range=color_range)
    (native,), (frame,) = read_native(path), read_frames(path)
    assert native.colour.is_full_range == (color_range == 2)
    square = box(16, 0, 112, 96)
    region = rgb_region(native, square, size=96)
    assert difference(region, crop_face(accurate(native), square, size=96)) <= 1
    assert difference(region, crop_face(frame.pixels, square, size=96)) <= 2


def test_untagged_pictures_take_the_matrix_that_goes_with_their_size(tmp_path: Path) -> None:
    for width, matrix in ((128, 5), (1280, 1)):
        pixels = photo(width, 96)
        (native,) = read_native(write_raw(tmp_path, "yuv420p", pixels=pixels, matrix=2))
        assert native.colour.matrix == matrix


@pytest.mark.parametrize(("across", "down"), [(48, 64), (49, 64), (48, 63), (49, 63)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv422p10le"])
def test_odd_sizes_are_read_to_their_edge(
    tmp_path: Path, across: int, down: int, pixel_format: str
) -> None:
    path = write_raw(tmp_path, pixel_format, pixels=photo(across, down))
    (native,), (frame,) = read_native(path), read_frames(path)
    square = box(across - 30, down - 30, across + 2, down + 2)
    expected = crop_face(frame.pixels, square, size=32)
    assert difference(rgb_region(native, square, size=32), expected) <= 2.5


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
@pytest.mark.parametrize("hflip", [False, True])
@pytest.mark.parametrize("aspect", [None, Fraction(4, 3)])
def test_boxes_are_in_upright_display_coordinates(
    tmp_path: Path, rotation: int, hflip: bool, aspect: Fraction | None
) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height = 128, 96
        stream.set_display_rotation(rotation, hflip=hflip)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        container.mux(stream.encode(av.VideoFrame.from_ndarray(photo(), format="rgb24")))
        container.mux(stream.encode(None))
    (native,), (frame,) = read_native(path), read_frames(path)
    assert (native.display.height, native.display.width) == frame.pixels.shape[:2]
    assert (native.picture.width, native.picture.height) == (128, 96)
    square = box(10.2, 20.4, 74.2, 84.4)
    expected = crop_face(frame.pixels, square, size=64)
    assert difference(rgb_region(native, square, size=64), expected) <= 2
    small = thumbnail(native, 32)
    shrunk = cv2.resize(frame.pixels, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert difference(small, np.asarray(shrunk)) <= 3


@pytest.mark.parametrize("directions", [
    ((1, 0), (0, 1)), ((-1, 0), (0, 1)), ((1, 0), (0, -1)), ((-1, 0), (0, -1)),
    ((0, 1), (1, 0)), ((0, -1), (1, 0)), ((0, 1), (-1, 0)), ((0, -1), (-1, 0)),
])  # fmt: skip
def test_the_display_and_the_stored_picture_have_the_same_corners(directions: tuple) -> None:
    is_transposed = directions[0][0] == 0
    display = Display(
        width=30 if is_transposed else 40, height=40 if is_transposed else 30, directions=directions
    )
    to_stored = display_to_stored(display, width=80, height=60)  # half the size on the way
    corners = np.array([[0, display.width], [0, display.height], [1, 1]])
    x, y, _ = to_stored @ corners
    assert sorted(x) == [0, 80]
    assert sorted(y) == [0, 60]


@pytest.mark.parametrize(("codec", "offset"), [("ffv1", 0.0), ("mjpeg", 0.5)])
def test_chroma_lies_where_the_format_sites_it(tmp_path: Path, codec: str, offset: float) -> None:
    path = tmp_path / "a.mkv"
    frame = av.VideoFrame(64, 16, "yuvj420p" if codec == "mjpeg" else "yuv420p")
    columns = 2 * np.arange(32) + offset  # of luma, where the chroma samples are
    for plane, value in zip(frame.planes, (128, 60 + 2 * columns, 128), strict=True):
        row = np.zeros(plane.line_size)
        row[: plane.width] = value
        plane.update(np.tile(row, plane.height).astype(np.uint8).tobytes())
    frame.pts, frame.color_range, frame.colorspace = 0, 2, 5
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 16, frame.format.name
        stream.color_range, stream.colorspace = 2, 5
        if codec == "mjpeg":
            stream.qmin = stream.qmax = 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (native,) = read_native(path)
    region = rgb_region(native, box(24, 0, 40, 16), size=16)
    codes = codes_from_rgb(native.layout, native.colour)
    cb = (codes[1, :3] / 255 * region).sum(axis=-1) + codes[1, 3]
    expected = 60 + 2 * np.arange(24, 40)
    assert abs((cb.mean(axis=0) - expected).mean()) < 0.3  # half a column of luma would be 1


@pytest.mark.parametrize("pixel_format", ["p010le", "p210le", "p012le", "nv21", "nv24"])
def test_formats_of_hardware_decoders_are_read_too(pixel_format: str) -> None:
    native = native_in(pixel_format, photo())
    square = box(30, 10, 94, 74)
    expected = crop_face(photo(), square, size=64)
    assert difference(rgb_region(native, square, size=64), expected) <= 2.5


def test_a_region_outside_the_picture_repeats_its_edge(tmp_path: Path) -> None:
    path = write_raw(tmp_path, "yuv420p")
    (native,), (frame,) = read_native(path), read_frames(path)
    square = box(-20, 60, 44, 124)
    expected = crop_face(frame.pixels, square, size=64)
    assert difference(rgb_region(native, square, size=64), expected) <= 2


def test_a_box_without_area_is_refused(tmp_path: Path) -> None:
    (native,) = read_native(write_raw(tmp_path, "yuv420p"))
    for edges in ((5, 5, 5, 9), (0, 0, np.nan, 4)):
        with pytest.raises(ConfigError, match="positive width"):
            rgb_region(native, box(*edges), size=8)


@pytest.mark.parametrize("width", [16, 50, 64, 128, 200])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "gbrp", "gray"])
def test_a_thumbnail_is_the_picture_shrunk(tmp_path: Path, width: int, pixel_format: str) -> None:
    path = write_raw(tmp_path, pixel_format)
    (native,), (frame,) = read_native(path), read_frames(path)
    small = thumbnail(native, width)
    assert small.shape == (round(width * 0.75), width, 3)
    assert small.flags.c_contiguous
    how = cv2.INTER_AREA if width < 128 else cv2.INTER_LINEAR
    expected = np.asarray(cv2.resize(frame.pixels, small.shape[1::-1], interpolation=how))
    assert difference(small, expected) <= 3


def frames_of_noise(num_frames: int) -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    for index in range(num_frames):
        moving = np.roll(photo(), 3 * index, axis=1).astype(int) + rng.integers(-6, 7, (96, 128, 1))
        yield np.clip(moving, 0, 255).astype(np.uint8)


def test_editing_every_frame_does_not_change_what_is_predicted_from_it(tmp_path: Path) -> None:
    options = {"g": "250", "bf": "3", "refs": "4", "b-pyramid": "normal", "crf": "20"}
    path = write_x264(tmp_path / "a.mp4", options, list(frames_of_noise(40)))
    with av.open(str(path)) as container:
        kinds = [frame.pict_type for frame in container.decode(video=0)]
    assert kinds.count(3) > 10  # B
    assert kinds.count(1) == 1  # I
    untouched = [[plane.copy() for plane in frame.planes()] for frame in read_native(path)]
    for frame, expected in zip(read_native(path), untouched, strict=True):
        edited, planes = frame.edited()
        for plane in planes:
            plane[...] = 255 - plane
        for seen, edit, plane in zip(frame.planes(), edited.planes(), expected, strict=True):
            np.testing.assert_array_equal(seen, plane)
            np.testing.assert_array_equal(edit, 255 - plane)


def test_planes_of_a_decoded_frame_cannot_be_written_to(tmp_path: Path) -> None:
    (native,) = read_native(write_raw(tmp_path, "nv12"))
    for plane in native.planes():
        with pytest.raises(ValueError, match="read-only"):
            plane[...] = 0


def test_a_copy_keeps_tags_and_time(tmp_path: Path) -> None:
    (native,) = read_native(write_raw(tmp_path, "yuv420p10le", matrix=9))
    copy, _ = native.at(Fraction(1, 3)).edited()
    assert copy.time == Fraction(1, 3)
    assert (copy.picture.colorspace, copy.picture.color_range) == (9, 1)
    assert copy.picture.time_base == native.picture.time_base


@pytest.mark.parametrize("pixel_format", OTHERS)
def test_other_formats_become_the_nearest_once_told(
    tmp_path: Path, pixel_format: str, caplog: pytest.LogCaptureFixture
) -> None:
    if pixel_format == "pal8":
        path = tmp_path / "a.png.avi"
        palette = np.random.default_rng(0).integers(0, 256, (256, 4), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray((photo()[..., 0], palette), format="pal8")
        with av.open(str(path), "w") as container:
            stream = container.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 128, 96, "pal8"
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    else:
        path = write_raw(tmp_path, pixel_format)
    with caplog.at_level(logging.INFO):
        (native,) = read_native(path)
    assert len(caplog.records) == 1
    assert pixel_format in caplog.text
    assert find_layout(native.layout.name) == native.layout
    (frame,) = read_frames(path)
    square = box(16, 0, 112, 96)
    expected = crop_face(frame.pixels, square, size=96)
    assert difference(rgb_region(native, square, size=96), expected) <= 2.5


@pytest.mark.parametrize(("other", "nearest"), [
    ("pal8", "rgba"), ("yuyv422", "yuv422p"), ("uyvy422", "yuv422p"), ("y210le", "yuv422p10le"),
    ("yuv411p", "yuv422p"), ("yuv440p", "yuv444p"), ("yuv410p", "yuv420p"), ("monow", "gray"),
    ("rgb565le", "rgb24"), ("0rgb", "rgb24"), ("x2rgb10le", "rgb48le"), ("ya8", "rgba"),
    ("ya16le", "rgba64le"), ("gray16be", "gray16le"), ("yuv420p10be", "yuv420p10le"),
    ("vuya", "yuva444p"), ("ayuv64le", "yuva444p16le"), ("rgba64be", "rgba64le"),
    ("gbrpf32le", "rgb48le"), ("yuva420p10be", "yuva420p10le"), ("xyz12le", "rgb48le"),
])  # fmt: skip
def test_the_nearest_format_keeps_depth_and_alpha(other: str, nearest: str) -> None:
    assert find_layout(other) is None
    assert nearest_layout(av.VideoFormat(other)).name == nearest


@pytest.mark.parametrize("name", [
    *RAW, "yuvj422p", "nv16", "nv21", "nv24", "p012le", "p016le", "p410le", "yuva422p12le",
    "yuv420p16le", "gbrap", "gbrap12le", "argb", "abgr", "rgba64le", "gray16le",
])  # fmt: skip
def test_layouts_agree_with_the_library(name: str) -> None:
    layout, known = layout_of(name), av.VideoFormat(name)
    picture = av.VideoFrame(16, 8, name)
    assert len(picture.planes) == len(layout.planes)
    assert sorted(sum(layout.planes, ())) == list(range(len(known.components)))
    assert layout.bits == known.components[0].bits
    assert layout.has_alpha == any(part.is_alpha for part in known.components)
    for index, part in enumerate(known.components):
        assert index in layout.planes[part.plane]
    if layout.family == "ycbcr":
        across, down = layout.subsampling
        assert (known.chroma_width(16), known.chroma_height(16)) == (16 >> across, 16 >> down)


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10le", "gbrp", "yuv444p12le"])
@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("matrix", [1, 4, 5, 7, 9])
def test_colours_come_back(name: str, is_full: bool, matrix: int) -> None:
    layout, colour = layout_of(name), Colour(matrix=matrix, is_full_range=is_full)
    colours = np.random.default_rng(0).random((10, 3))
    ones = np.ones((10, 1))
    codes = np.concatenate([colours, ones], axis=1) @ codes_from_rgb(layout, colour).T
    back = np.concatenate([codes, ones], axis=1) @ rgb_from_codes(layout, colour).T
    np.testing.assert_allclose(back, colours, atol=1e-9)


def test_white_is_white_by_the_standard() -> None:
    codes = codes_from_rgb(layout_of("yuv420p10le"), Colour(matrix=9, is_full_range=False))
    np.testing.assert_allclose(codes.sum(axis=1), [940, 512, 512])
    np.testing.assert_allclose(codes[1] @ (0, 0, 1, 1), 960)


def test_a_still_is_one_upright_rgb_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", picture(90)[..., ::-1])[1].tobytes())
    (native,) = read_native(path)
    assert native.is_still
    assert native.time == 0
    assert native.layout.name == "rgb24"
    np.testing.assert_array_equal(rgb(native), picture(90))


def test_pictures_whose_size_changes_keep_the_display_of_the_first(tmp_path: Path) -> None:
    def stream_of(width: int, height: int) -> bytes:
        path = write_x264(tmp_path / "part.h264", {"crf": "1"}, [photo(width, height)] * 3)
        return path.read_bytes()

    path = tmp_path / "a.h264"
    path.write_bytes(stream_of(128, 96) + stream_of(192, 144))
    natives, frames = list(read_native(path)), list(read_frames(path))
    sizes = {(native.picture.width, native.picture.height) for native in natives}
    assert sizes == {(128, 96), (192, 144)}
    square = box(30, 10, 94, 74)
    for native, frame in zip(natives, frames, strict=True):
        assert (native.display.width, native.display.height) == (128, 96)
        expected = crop_face(frame.pixels, square, size=64)
        assert difference(rgb_region(native, square, size=64), expected) <= 2.5


def test_maps_between_centres_move_by_half_a_pixel() -> None:
    np.testing.assert_allclose(
        between_centres(np.diag([2.0, 4.0, 1.0])), [[2, 0, 0.5], [0, 4, 1.5]]
    )


def test_pictures_that_nobody_holds_are_gone_at_once(tmp_path: Path) -> None:
    path = tmp_path / "plain.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3 * MOST_ASKED):
            grey = np.full((48, 64, 3), 90, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    frames = islice(read_native(path), MOST_ASKED, None)
    gc.collect()
    gc.disable()
    try:
        num = sum(1 for _ in frames)
        num_in_cycles = sum(isinstance(thing, av.VideoFrame) for thing in _garbage())
    finally:
        gc.enable()
    assert num == 2 * MOST_ASKED
    assert num_in_cycles <= MOST_ASKED


def _garbage() -> list[object]:
    """What only the collector of cycles can free; freed."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return list(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
