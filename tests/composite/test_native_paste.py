from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from rgb_paste import paste

from lipwright.composite import mouth_mask
from lipwright.composite.grain import Grain
from lipwright.composite.native import paste_native
from lipwright.errors import ConfigError
from lipwright.faces import crop_face
from lipwright.media import Encoding, read_frames
from lipwright.media.display import Display, between_centres, square_to_display
from lipwright.media.native import NativeFrame, colour_of, native_still, read_native
from lipwright.media.native_rgb import rgb, rgb_region
from lipwright.media.native_writer import NativeWriter
from lipwright.media.pixel_layout import ALPHA, code_range, layout_of

WIDTH, HEIGHT = 256, 192
FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"]
FPS = Fraction(25)


def box(*edges: float) -> NDArray[np.float32]:
    return np.array(edges, dtype=np.float32)


SQUARES = [box(60, 20, 188, 148), box(60.4, 25.7, 160.3, 125.6), box(30, 20, 70, 60)]


def photo(width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    face = skimage.data.astronaut()[40:232, 96:352]
    return np.asarray(cv2.resize(face, (width, height), interpolation=cv2.INTER_AREA))


def noise(size: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((size, size, 3), dtype=np.float32)


def made(
    pixel_format: str, pixels: NDArray[np.uint8] | None = None, *, color_range: int = 1
) -> NativeFrame:
    """A photo in any format, BT.709."""
    source = av.VideoFrame.from_ndarray(photo() if pixels is None else pixels, format="rgb24")
    frame = source.reformat(format=pixel_format, dst_colorspace=1, dst_color_range=color_range)
    frame.color_range = color_range
    layout = layout_of(pixel_format)
    return NativeFrame(
        picture=frame,
        time=Fraction(0),
        layout=layout,
        colour=colour_of(frame, layout),
        display=Display(width=frame.width, height=frame.height),
    )


def write(path: Path, pixel_format: str, *, num_frames: int = 12, rotation: int = 0) -> Path:
    """A moving photo with B frames, encoded with loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "20", "bf": "3"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixel_format
        stream.codec_context.time_base = 1 / FPS
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(num_frames):
            frame = made(pixel_format, np.roll(photo(), 2 * index, axis=1)).picture
            frame.pts, frame.time_base = index, 1 / FPS
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def shares(
    frame: NativeFrame, square: NDArray[np.float32], mask: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """The mask on the grid of each plane, without regard to what paste touches."""
    warped = []
    for index, plane in enumerate(frame.planes()):
        to_square = np.linalg.inv(frame.to_plane(index) @ square_to_display(square, len(mask)))
        warped.append(
            cv2.warpAffine(
                mask,
                between_centres(to_square),
                plane.shape[1::-1],
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            )
        )
    return warped


def assert_same_outside(
    before: NativeFrame,
    planes: Sequence[NDArray[np.generic]],
    square: NDArray[np.float32],
    mask: NDArray[np.float32],
) -> None:
    for old, new, share in zip(before.planes(), planes, shares(before, square, mask), strict=True):
        np.testing.assert_array_equal(new[share == 0], old[share == 0])
        assert (new != old).any()


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_what_the_mask_leaves_out_is_the_same_bit_for_bit_in_the_file(
    tmp_path: Path, pixel_format: str
) -> None:
    source = write(tmp_path / "a.mp4", pixel_format)
    target = tmp_path / "b.mp4"
    face, square = noise(96), SQUARES[1]
    with NativeWriter(target, fps=FPS, speech=None, encoding=Encoding(crf=0)) as writer:
        for frame in read_native(source):
            writer.write(paste_native(frame, face, box=square))
    num_frames = 0
    for before, after in zip(read_native(source), read_native(target), strict=True):
        num_frames += 1
        assert after.layout == before.layout
        assert after.time == before.time
        assert_same_outside(before, after.planes(), square, mouth_mask(96))
    assert num_frames == 12


@pytest.mark.parametrize("pixel_format", [
    *FORMATS, "nv12", "nv21", "p010le", "p210le", "yuv444p12le", "yuva420p", "yuva444p10le", "gray",
    "gray10le", "gbrp", "gbrp10le", "rgb24", "bgr24", "rgba", "bgra", "argb", "rgb48le",
])  # fmt: skip
@pytest.mark.parametrize("square", SQUARES, ids=["even", "fractions", "small"])
def test_the_face_that_was_there_hardly_changes_the_picture(
    pixel_format: str, square: NDArray[np.float32]
) -> None:
    frame = made(pixel_format)
    face = rgb_region(frame, square, size=128)
    for drawn in (face, face.astype(np.float32) / 255):
        pasted = paste_native(frame, drawn, box=square)
        unit = 2 ** (frame.layout.bits + frame.layout.shift - 8)
        for old, new, share in zip(
            frame.planes(), pasted.planes(), shares(frame, square, mouth_mask(128)), strict=True
        ):
            change = np.abs(new.astype(int) - old)[share > 0] / unit
            assert change.mean() < (2.5 if frame.layout.family == "rgb" else 2)
        assert np.abs(rgb(pasted).astype(int) - rgb(frame)).max() < 60


@pytest.mark.parametrize("pixel_format", [*FORMATS, "nv12", "gbrp", "rgba"])
def test_the_result_looks_like_that_of_the_rgb_path(pixel_format: str) -> None:
    frame = made(pixel_format)
    face = np.ascontiguousarray(cv2.resize(photo()[::-1], (128, 128)))
    for square in SQUARES[:2]:
        expected = paste(rgb(frame), face, square)
        seen = rgb(paste_native(frame, face, box=square))
        x0, y0, x1, y1 = square.astype(int)
        changed = (slice((y0 + y1) // 2, y1), slice(x0, x1))
        assert np.abs(seen[changed].astype(int) - expected[changed]).mean() < 2.5


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_turned_video_takes_boxes_in_upright_coordinates(tmp_path: Path, rotation: int) -> None:
    source = write(tmp_path / "a.mp4", "yuv420p", num_frames=2, rotation=rotation)
    target = tmp_path / "b.mp4"
    square = box(40, 30, 136, 126)
    face = np.ascontiguousarray(cv2.resize(photo(), (96, 96)))
    with NativeWriter(target, fps=FPS, speech=None, encoding=Encoding(crf=0)) as writer:
        for native in read_native(source):
            writer.write(paste_native(native, face, box=square))
    for before, after in zip(read_frames(source), read_frames(target), strict=True):
        expected = paste(before.pixels, face, square)
        assert after.pixels.shape == expected.shape
        changed = (slice(78, 126), slice(40, 136))
        assert np.abs(expected[changed].astype(int) - before.pixels[changed]).mean() > 15
        assert np.abs(after.pixels[changed].astype(int) - expected[changed]).mean() < 3
        outside = np.ones(expected.shape[:2], dtype=bool)
        outside[74:130, 36:140] = False
        np.testing.assert_array_equal(after.pixels[outside], before.pixels[outside])


@pytest.mark.parametrize(
    "size", [(WIDTH + 1, HEIGHT), (WIDTH, HEIGHT + 1), (WIDTH - 1, HEIGHT - 1)]
)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv422p10le"])
def test_odd_sizes_are_pasted_into(size: tuple[int, int], pixel_format: str) -> None:
    frame = made(pixel_format, photo(*size))
    square = box(size[0] - 90, size[1] - 90, size[0] + 6, size[1] + 6)
    pasted = paste_native(frame, noise(96), box=square)
    assert_same_outside(frame, pasted.planes(), square, mouth_mask(96))


@pytest.mark.parametrize("edges", [
    (-60, -60, 60, 60), (-40, 100, 80, 220), (200, 100, 320, 220), (-100, -100, 400, 400),
])  # fmt: skip
@pytest.mark.parametrize("pixel_format", ["yuv420p", "p010le", "rgba"])
def test_a_box_may_reach_out_of_the_picture(edges: tuple[int, ...], pixel_format: str) -> None:
    frame, square = made(pixel_format), box(*edges)
    pasted = paste_native(frame, noise(96), box=square)
    assert_same_outside(frame, pasted.planes(), square, mouth_mask(96))


@pytest.mark.parametrize("edges", [(-90, 0, -10, 80), (300, 0, 380, 80), (10, -200, 90, -120)])
def test_a_box_outside_the_picture_changes_nothing(edges: tuple[int, ...]) -> None:
    frame = made("yuv420p")
    pasted = paste_native(frame, noise(96), box=box(*edges))
    for old, new in zip(frame.planes(), pasted.planes(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_frame_and_the_face_are_not_modified() -> None:
    frame, face, square = made("yuv420p"), noise(96), box(10, 10, 90, 90)
    before = [plane.copy() for plane in frame.planes()]
    pasted = paste_native(frame, face, box=square)
    for old, plane, new in zip(before, frame.planes(), pasted.planes(), strict=True):
        np.testing.assert_array_equal(plane, old)
        assert not np.shares_memory(plane, new)
    np.testing.assert_array_equal(face, noise(96))
    np.testing.assert_array_equal(square, box(10, 10, 90, 90))


def test_ten_bits_get_values_between_those_of_eight() -> None:
    frame, square = made("yuv420p10le"), box(60, 20, 188, 148)
    ramp = np.tile(np.linspace(0.4, 0.5, 128, dtype=np.float32)[None, :, None], (128, 1, 3))
    luma = paste_native(frame, ramp, box=square).planes()[0]
    row = luma[120, 96:152].astype(float)  # where the mask is full
    assert len(np.unique(row % 4)) == 4
    np.testing.assert_allclose(row, 64 + 876 * ramp[100, 36:92, 0], atol=0.51)


@pytest.mark.parametrize("pixel_format", ["p010le", "p210le"])
def test_empty_low_bits_stay_empty(pixel_format: str) -> None:
    pasted = paste_native(made(pixel_format), noise(96), box=box(60, 20, 188, 148))
    for plane in pasted.planes():
        assert not (plane % 64).any()


@pytest.mark.parametrize("pixel_format", ["yuva420p", "yuva444p10le", "rgba", "bgra", "argb"])
def test_alpha_stays(pixel_format: str) -> None:
    frame, planes = made(pixel_format).edited()
    rng = np.random.default_rng(0)
    alphas = []
    for plane, channels in zip(planes, frame.layout.planes, strict=True):
        if ALPHA in channels:
            view = plane if plane.ndim == 2 else plane[..., channels.index(ALPHA)]
            view[...] = rng.integers(0, frame.layout.largest, view.shape)
            alphas.append(view.copy())
    pasted = paste_native(frame, noise(96), box=box(60, 20, 188, 148))
    for plane, channels in zip(pasted.planes(), frame.layout.planes, strict=True):
        if ALPHA in channels:
            view = plane if plane.ndim == 2 else plane[..., channels.index(ALPHA)]
            np.testing.assert_array_equal(view, alphas.pop(0))
    assert not alphas


@pytest.mark.parametrize(("color_range", "white"), [(1, 235), (2, 255)])
def test_white_is_the_white_of_the_range(color_range: int, white: int) -> None:
    frame = made("yuv420p", color_range=color_range)
    face = np.full((64, 64, 3), 255, dtype=np.uint8)
    pasted = paste_native(frame, face, box=box(60, 20, 188, 148))
    assert pasted.planes()[0][115, 124] == white
    assert pasted.planes()[1][57, 62] == 128


def test_drawn_samples_are_legal_and_highlights_of_the_frame_are_kept() -> None:
    frame, planes = made("yuv420p").edited()
    planes[0][...] = 250  # beyond white, as cameras write it
    face = np.where(noise(96) > 0.5, np.float32(9), np.float32(-9))
    square = box(60, 20, 156, 116)
    pasted = paste_native(frame, face, box=square)
    luma, share = pasted.planes()[0], shares(frame, square, mouth_mask(96))[0]
    (low, high), _ = code_range(frame.layout, frame.colour)
    assert low <= luma[share == 1].min()
    assert luma[share == 1].max() <= high
    faint = (share > 0) & (share < 0.01)
    assert faint.any()
    assert luma[faint].min() >= 247  # not cut to white at the edge of the mask


@pytest.mark.parametrize("is_centred", [False, True])
def test_chroma_is_put_where_the_format_sites_it(is_centred: bool) -> None:
    pixels = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
    frame = made("yuv420p", pixels, color_range=2)
    layout, picture = frame.layout, frame.picture
    frame = NativeFrame(
        picture=picture,
        time=frame.time,
        layout=layout,
        colour=colour_of(picture, layout, is_chroma_centred=is_centred),
        display=frame.display,
    )
    blue = np.linspace(0.2, 0.8, 128, dtype=np.float32)  # 0.6 over 127 columns
    face = np.stack([np.full_like(blue, 0.5), np.full_like(blue, 0.5), blue], axis=-1)
    face = np.tile(face[None], (128, 1, 1))
    pasted = paste_native(frame, face, box=box(60, 20, 188, 148))
    chroma = pasted.planes()[1][55, 48:76].astype(float)
    # Where a sample lies in columns of luma, counted in centres from the left edge of the box.
    places = 2 * np.arange(48, 76) + (0.5 if is_centred else 0) - 60
    level = 0.2 + 0.6 / 127 * places
    luma = 0.5 * (1 - 0.0722) + 0.0722 * level
    expected = 128 + 255 * (level - luma) / (2 * (1 - 0.0722))
    assert abs((chroma - expected).mean()) < 0.1  # half a column would be 0.3


def test_another_mask_may_be_given() -> None:
    frame, mask = made("yuv422p"), np.zeros((96, 96), dtype=np.float32)
    unchanged = paste_native(frame, noise(96), box=SQUARES[0], mask=mask)
    for old, new in zip(frame.planes(), unchanged.planes(), strict=True):
        np.testing.assert_array_equal(old, new)
    mask[10:20, 30:60] = 1
    pasted = paste_native(frame, noise(96), box=SQUARES[0], mask=mask)
    assert_same_outside(frame, pasted.planes(), SQUARES[0], mask)


def test_a_mask_that_reaches_the_border_is_pasted_to_the_border() -> None:
    frame, mask = made("yuv444p"), np.ones((96, 96), dtype=np.float32)
    face = np.zeros((96, 96, 3), dtype=np.uint8)
    luma = paste_native(frame, face, box=box(20, 30, 116, 126), mask=mask).planes()[0]
    assert (luma[30:126, 20:116] == 16).all()
    np.testing.assert_array_equal(luma[:30], frame.planes()[0][:30])
    np.testing.assert_array_equal(luma[:, 116:], frame.planes()[0][:, 116:])


def test_what_cannot_be_pasted_is_told() -> None:
    frame = made("yuv420p")
    with pytest.raises(ConfigError, match="positive width"):
        paste_native(frame, noise(96), box=box(5, 5, 5, 9))
    with pytest.raises(ConfigError, match=r"mask of that size, got \(8, 8\)"):
        paste_native(frame, noise(96), box=SQUARES[0], mask=np.zeros((8, 8), dtype=np.float32))


def test_a_still_is_pasted_into_as_rgb() -> None:
    frame, face = native_still(photo()), crop_face(photo()[::-1], SQUARES[0], size=128)
    seen = rgb(paste_native(frame, face, box=SQUARES[0]))
    np.testing.assert_allclose(seen, paste(photo(), face, SQUARES[0]), atol=1)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "p010le", "rgb24", "gray"])
@pytest.mark.parametrize("degrees", [-60, 12, 45])
def test_a_turned_box_changes_only_what_lies_under_its_mask(
    pixel_format: str, degrees: float
) -> None:
    frame, square, roll = made(pixel_format), SQUARES[1], float(np.deg2rad(degrees))
    pasted = paste_native(frame, noise(96), box=square, roll=roll)
    for index, (old, new) in enumerate(zip(frame.planes(), pasted.planes(), strict=True)):
        place = frame.to_plane(index) @ square_to_display(square, 96, roll=roll)
        share = cv2.warpAffine(
            mouth_mask(96),
            between_centres(np.linalg.inv(place)),
            old.shape[1::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        np.testing.assert_array_equal(new[share == 0], old[share == 0])
        assert (new != old).any()


@pytest.mark.parametrize("degrees", [-45, 30])
def test_the_turned_face_that_was_there_hardly_changes_the_picture(degrees: float) -> None:
    frame, square, roll = made("yuv444p"), SQUARES[0], float(np.deg2rad(degrees))
    face = rgb_region(frame, square, size=128, roll=roll)
    before, after = rgb(frame), rgb(paste_native(frame, face, box=square, roll=roll))
    assert np.abs(after.astype(int) - before).max() < 60
    wrong = rgb(paste_native(frame, face, box=square))
    near, far = (np.abs(picture.astype(int) - before).mean() for picture in (after, wrong))
    assert near < far / 4


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "rgb24"])
def test_grain_is_laid_on_the_luma_of_what_is_drawn_alone(pixel_format: str) -> None:
    frame, square = made(pixel_format), SQUARES[0]
    plain = paste_native(frame, noise(96) * 0 + 0.5, box=square)
    grain = Grain(deviation=0.02, seed=7)
    grainy = paste_native(frame, noise(96) * 0 + 0.5, box=square, grain=grain)
    for index, (old, new, share) in enumerate(
        zip(plain.planes(), grainy.planes(), shares(frame, square, mouth_mask(96)), strict=True)
    ):
        change = (new.astype(float) - old) / frame.layout.largest
        assert not change[share == 0].any()
        if index:
            assert not change.any()
        else:
            assert change[share == 1].std() == pytest.approx(0.02, rel=0.15)
