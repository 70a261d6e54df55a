"""Pictures with known answers; and networks that users supply, right and wrong ones."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from lipwright.composite import mouth_mask
from lipwright.errors import CheckpointError, ConfigError
from lipwright.evaluation.picture import (
    FaceEmbedding,
    Lpips,
    identity_similarity,
    psnr,
    region_l1,
    seam,
    sharpness,
    ssim,
)

Picture = NDArray[np.uint8]
SIZE = 32
EVERYWHERE = np.ones((SIZE, SIZE), dtype=np.float32)


def grey(level: int, size: int = SIZE) -> Picture:
    return np.full((size, size, 3), level, dtype=np.uint8)


def noise(seed: int, size: int = SIZE) -> Picture:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, size=(size, size, 3), dtype=np.uint8)


def left_half() -> NDArray[np.float32]:
    return (np.arange(SIZE) < SIZE / 2).astype(np.float32)[None].repeat(SIZE, axis=0)


def test_psnr_of_an_even_difference_is_known() -> None:
    # 20 log10(255 / 51) = 20 log10(5)
    assert psnr(grey(51), grey(0)) == pytest.approx(20 * np.log10(5))
    assert psnr(grey(7), grey(7)) == np.inf


def test_ssim_of_flat_pictures_is_their_comparison_of_brightness() -> None:
    c1 = (0.01 * 255) ** 2  # Wang et al. 2004, equation 6; contrast and structure are 1
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ssim(grey(100), grey(150)) == pytest.approx(expected)


def test_ssim_of_a_single_window_is_that_of_the_paper() -> None:
    # Of 11 x 11 pixels only the middle has a whole window: equation 13, weights of section III.C.
    one, other = noise(0, 11)[..., :1].repeat(3, axis=2), noise(1, 11)[..., :1].repeat(3, axis=2)
    x, y = one[..., 0].astype(np.float64), other[..., 0].astype(np.float64)
    bell = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.outer(bell, bell) / bell.sum() ** 2
    mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
    var_x, var_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
    both = (weights * (x - mean_x) * (y - mean_y)).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    expected /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    assert ssim(one, other) == pytest.approx(expected)


@given(st.integers(0, 1000))
def test_a_picture_is_most_like_itself(seed: int) -> None:
    one, other = noise(seed), noise(seed + 1)
    assert ssim(one, one) == pytest.approx(1)
    assert ssim(one, other) < 0.5
    assert ssim(one, other) == pytest.approx(ssim(other, one))
    assert psnr(one, other) == pytest.approx(psnr(other, one))


def test_ssim_needs_pictures_of_its_window() -> None:
    assert ssim(grey(9, 11), grey(9, 11)) == pytest.approx(1)
    with pytest.raises(ConfigError, match="11 pixels a side"):
        ssim(grey(9, 10), grey(9, 10))


def test_l1_is_of_the_region_alone() -> None:
    drawn = grey(0)
    drawn[:, : SIZE // 2] = 51
    assert region_l1(drawn, grey(0), EVERYWHERE) == pytest.approx(0.1)
    assert region_l1(drawn, grey(0), left_half()) == pytest.approx(0.2)
    assert region_l1(drawn, grey(0), 1 - left_half()) == 0
    assert region_l1(drawn, grey(0), 0.75 * EVERYWHERE - 0.5 * left_half()) == pytest.approx(0.05)


def test_pictures_that_differ_in_size_are_refused() -> None:
    for metric in (psnr, ssim, lambda a, b: region_l1(a, b, EVERYWHERE)):
        with pytest.raises(ConfigError, match="differ in size"):
            metric(grey(0), grey(0, 16))


@pytest.mark.parametrize(
    "region", [np.zeros((SIZE, SIZE)), np.ones((4, 4)), np.full((SIZE, SIZE), np.nan)]
)
def test_a_region_without_weight_is_refused(region: NDArray[np.float64]) -> None:
    for metric in (lambda r: region_l1(grey(0), grey(0), r), lambda r: sharpness(grey(0), r)):
        with pytest.raises(ConfigError, match="some weight"):
            metric(region.astype(np.float32))


def test_the_sharpness_of_stripes_is_known() -> None:
    stripes = grey(0)
    stripes[:, ::2] = 255
    # Both neighbours across differ by 1, those along by 0: the Laplacian is 2 or -2.
    assert sharpness(stripes, EVERYWHERE) == pytest.approx(4)
    assert sharpness(stripes // 5, EVERYWHERE) == pytest.approx(4 / 25)
    assert sharpness(grey(80), EVERYWHERE) == 0


@given(st.integers(0, 1000), st.integers(1, 100))
def test_brightness_is_not_sharpness_and_blur_is_less_of_it(seed: int, more: int) -> None:
    picture = (noise(seed)[..., :1] // 2).repeat(3, axis=2)
    sharp = sharpness(picture, EVERYWHERE)
    assert sharpness(picture + np.uint8(more), EVERYWHERE) == pytest.approx(sharp)
    assert sharpness(cv2.GaussianBlur(picture, (0, 0), 1), EVERYWHERE) < 0.3 * sharp


def test_sharpness_is_of_the_region_alone() -> None:
    picture = noise(0)
    picture[:, : SIZE // 2 + 1] = 90  # one column more, which the Laplacian looks at
    assert sharpness(picture, left_half()) == 0
    assert sharpness(picture, 1 - left_half()) > 0.1


def lightness(level: int) -> float:
    """CIE L* of an sRGB grey (IEC 61966-2-1, CIE 15)."""
    linear = ((level / 255 + 0.055) / 1.055) ** 2.4
    return float(116 * np.cbrt(linear) - 16)


def test_the_seam_of_two_greys_is_their_ciede2000() -> None:
    mask = mouth_mask(96)
    picture = grey(140, 96)
    picture[mask > 0] = 120
    one, other = lightness(120), lightness(140)
    # Of greys only the term of lightness is left (CIE 142-2001).
    from_fifty = ((one + other) / 2 - 50) ** 2
    expected = (other - one) / (1 + 0.015 * from_fifty / np.sqrt(20 + from_fifty))
    assert seam(picture, mask) == pytest.approx(expected, abs=1e-3)
    assert seam(grey(140, 96), mask) == pytest.approx(0, abs=1e-9)


def test_a_stronger_seam_is_a_greater_number_and_a_blend_in_between() -> None:
    mask = mouth_mask(96)
    found = []
    for darker in (0, 10, 20, 40):
        picture = grey(140, 96)
        picture[mask > 0] -= np.uint8(darker)
        found.append(seam(picture, mask))
    assert found == sorted(found)
    blended = np.rint(140 - 40 * mask[..., None].repeat(3, axis=2)).astype(np.uint8)
    assert 0 < seam(blended, mask) < found[-1]


def test_the_seam_is_seen_on_every_side_of_the_mask() -> None:
    # Darker on the left, brighter on the right: ring by ring the means would be equal.
    mask = mouth_mask(96)
    picture = grey(140, 96)
    picture[:, :48][mask[:, :48] > 0] = 120
    picture[:, 48:][mask[:, 48:] > 0] = 160
    assert seam(picture, mask) > 3


def test_a_seam_on_one_side_is_half_of_one_all_around() -> None:
    mask = mouth_mask(96)
    below = np.arange(96)[:, None] >= np.average(np.arange(96), weights=mask.sum(axis=1))
    found = []
    for where in (mask > 0, (mask > 0) & below, (mask > 0) & ~below):
        picture = grey(140, 96)
        picture[where] = 120
        found.append(seam(picture, mask))
    assert found[1] == pytest.approx(found[0] / 2, rel=0.1)
    assert found[2] == pytest.approx(found[0] / 2, rel=0.1)


def test_the_middle_of_the_mouth_is_no_seam() -> None:
    mask = mouth_mask(96)
    picture = grey(140, 96)
    picture[mask == 1] = (200, 30, 30)
    assert seam(picture, mask) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((SIZE, SIZE)), "empty"),
        (np.ones((SIZE, SIZE)), "no soft edge"),
        (np.ones((4, 4)), "differ in size"),
    ],
)
def test_a_mask_without_an_edge_has_no_seam(mask: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        seam(grey(0), mask.astype(np.float32))


def test_identity_is_the_cosine_of_features() -> None:
    ones = np.array([[1.0, 0.0], [2.0, 0.0]])
    others = np.array([[5.0, 0.0], [1.0, np.sqrt(3)]])  # 0 and 60 degrees
    assert identity_similarity(ones, others) == pytest.approx(0.75)
    assert identity_similarity(ones, -ones) == pytest.approx(-1)


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_identity_does_not_depend_on_the_length_of_features(seed: int, scale: float) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, 5, 8))
    found = identity_similarity(a, b)
    assert -1 <= found <= 1
    assert identity_similarity(scale * a, b) == pytest.approx(found)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((4, 3)), np.ones((1, 3)), "alike"),
        (np.ones((0, 3)), np.ones((0, 3)), "alike"),
        (np.zeros((1, 3)), np.ones((1, 3)), "no direction"),
        (np.full((1, 3), np.nan), np.ones((1, 3)), "no direction"),
    ],
)
def test_features_that_say_nothing_are_refused(
    a: NDArray[np.float64], b: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        identity_similarity(a, b)


Shape = list[int | str]
ANY: Shape = ["n", 3, "h", "w"]
# Opset 13: axes are an attribute.
NODES = {
    "difference": [
        helper.make_node("Sub", ["a", "b"], ["d"]),
        helper.make_node("Abs", ["d"], ["e"]),
        helper.make_node("ReduceMean", ["e"], ["out"], axes=[1, 2, 3]),
    ],
    "map": [
        helper.make_node("Sub", ["a", "b"], ["d"]),
        helper.make_node("ReduceMean", ["d"], ["out"], axes=[1]),
    ],
    "mean colour": [helper.make_node("ReduceMean", ["a"], ["out"], axes=[2, 3], keepdims=0)],
    "mean colour, 4 dimensions": [helper.make_node("ReduceMean", ["a"], ["out"], axes=[2, 3])],
    "pixels": [helper.make_node("Abs", ["a"], ["out"])],
}

Build = Callable[..., Path]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    def build(name: str, *takes: Shape, rank: int = 4, extra_output: bool = False) -> Path:
        inputs = [
            helper.make_tensor_value_info(place, TensorProto.FLOAT, shape)
            for place, shape in zip("ab", takes, strict=False)
        ]
        outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None] * rank)]
        nodes = list(NODES[name])
        if extra_output:
            nodes.append(helper.make_node("Identity", ["a"], ["more"]))
            outputs.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [None] * 4))
        graph = helper.make_graph(nodes, "test", inputs, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 8
        path = tmp_path / "network.onnx"
        onnx.save(model, path)
        return path

    return build


def test_perceptual_distances_are_those_of_the_network(build: Build) -> None:
    lpips = Lpips(build("difference", ANY, ANY))
    drawn, true = [grey(51), grey(9), noise(0, 20)], [grey(0), grey(9), noise(1, 20)]
    found = lpips.distances(drawn, true)
    # Shown in [-1, 1]: 51 of 255 is 0.4 of 2.
    assert found[:2] == pytest.approx([0.4, 0.0], abs=1e-5)
    assert found[2] == pytest.approx(2 * region_l1(drawn[2], true[2], np.ones((20, 20))), abs=1e-5)
    assert lpips.distances([], []).shape == (0,)


def test_networks_are_shown_rgb_in_their_range(build: Build) -> None:
    picture = grey(0)
    picture[..., 0], picture[..., 1] = 255, 51
    for name, rank in (("mean colour", 2), ("mean colour, 4 dimensions", 4)):
        found = FaceEmbedding(build(name, ANY, rank=rank)).features([picture, picture])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, [[1, -0.6, -1]] * 2, atol=1e-5)


@pytest.mark.parametrize("side", [16, "s"])
def test_faces_are_scaled_to_the_network(build: Build, side: int | str) -> None:
    embedding = FaceEmbedding(build("mean colour", [1, 3, side, side], rank=2))
    found = embedding.features([grey(255, 50), grey(0, 300)])
    np.testing.assert_allclose(found, [[1, 1, 1], [-1, -1, -1]], atol=1e-5)


def test_features_of_no_faces_are_refused(build: Build) -> None:
    with pytest.raises(ConfigError, match="no faces"):
        FaceEmbedding(build("mean colour", ANY, rank=2)).features([])


@pytest.mark.parametrize(
    ("drawn", "true", "message"),
    [
        ([grey(0)], [grey(0, 16)], "differ in size"),
        ([grey(0)] * 2, [grey(0)], "2 pictures are compared with 1"),
    ],
)
def test_pictures_that_are_no_pairs_are_refused(
    build: Build, drawn: list[Picture], true: list[Picture], message: str
) -> None:
    lpips = Lpips(build("difference", ANY, ANY))
    with pytest.raises(ConfigError, match=message):
        lpips.distances(drawn, true)


def test_pictures_of_another_size_than_the_networks_are_refused(build: Build) -> None:
    lpips = Lpips(build("difference", [1, 3, 64, 64], [1, 3, 64, 64]))
    with pytest.raises(CheckpointError, match=r"takes \[1,3,64,64\]"):
        lpips.distances([grey(0)], [grey(0)])


def test_a_map_of_distances_is_refused(build: Build) -> None:
    lpips = Lpips(build("map", ANY, ANY))  # known only when it is run
    with pytest.raises(CheckpointError, match="not one number"):
        lpips.distances([grey(0)], [grey(0)])


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("mean colour, 4 dimensions", [ANY]),
        ("difference", [["n", 1, "h", "w"]] * 2),
        ("difference", [["n", "h", "w", 3]] * 2),
        ("difference", [[4, 3, 64, 64]] * 2),
    ],
    ids=["one input", "grey", "channels last", "batches"],
)
def test_other_networks_are_no_perceptual_distance(
    build: Build, name: str, takes: list[Shape]
) -> None:
    # A static height in the place of the channels tells layouts apart.
    takes = [
        [64 if side == "h" and place == 1 else side for place, side in enumerate(shape)]
        for shape in takes
    ]
    with pytest.raises(CheckpointError, match=r"2 of \[1,3,H,W\] needed"):
        Lpips(build(name, *takes))


def test_a_network_with_several_results_is_refused(build: Build) -> None:
    with pytest.raises(CheckpointError, match="a number for each picture"):
        Lpips(build("difference", ANY, ANY, extra_output=True))
    with pytest.raises(CheckpointError, match="a row for each picture"):
        FaceEmbedding(build("mean colour", ANY, rank=2, extra_output=True))


def test_a_network_of_pixels_is_no_embedding(build: Build) -> None:
    with pytest.raises(CheckpointError, match="a row for each picture"):
        FaceEmbedding(build("pixels", [1, 3, 16, 16]))
    with pytest.raises(CheckpointError, match=r"1 of \[1,3,H,W\] needed"):
        FaceEmbedding(build("difference", ANY, ANY))


@pytest.mark.parametrize("judge", [Lpips, FaceEmbedding])
def test_a_file_that_is_missing_or_no_network_is_refused(
    judge: type[Lpips] | type[FaceEmbedding], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="no such network"):
        judge(tmp_path / "missing.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a network")
    with pytest.raises(CheckpointError, match="cannot read"):
        judge(broken)
