"""How a drawn face looks beside the true one: alike, sharp, without a seam, the same person."""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lipwright.checkpoints import openvino_core
from lipwright.errors import CheckpointError, ConfigError, require

Picture = NDArray[np.uint8]
IDENTITY_SIZE = 112  # pixels: what face embedding networks take
_SSIM_WINDOW = 11  # pixels a side
_PICTURES = ov.PartialShape([1, 3, -1, -1])


def psnr(drawn: Picture, true: Picture) -> float:
    """Peak signal-to-noise ratio in decibels; infinite for equal pictures.

    By scikit-image: 10 log10(255^2 / mean squared error).

    Args:
        drawn: ``(H, W, 3)`` uint8 RGB.
        true: ``(H, W, 3)`` uint8 RGB.

    Raises:
        ConfigError: If they differ in size.
        MissingExtraError: If scikit-image is not installed.
    """
    _require_alike(drawn, true)
    if np.array_equal(drawn, true):
        return float("inf")
    metrics = require("skimage.metrics", extra="evaluate")
    return float(metrics.peak_signal_noise_ratio(true, drawn, data_range=255))


def ssim(drawn: Picture, true: Picture) -> float:
    """Structural similarity: 1 for equal pictures.

    Wang et al., IEEE Trans. Image Processing 13 (2004), by scikit-image with that paper's Gaussian
    window (sigma 1.5) and population covariance; the mean over colours.

    Args:
        drawn: ``(H, W, 3)`` uint8 RGB, at least 11 pixels a side.
        true: ``(H, W, 3)`` uint8 RGB.

    Raises:
        ConfigError: If they differ in size, or are smaller than the window.
        MissingExtraError: If scikit-image is not installed.
    """
    _require_alike(drawn, true)
    if min(drawn.shape[:2]) < _SSIM_WINDOW:
        raise ConfigError(f"pictures need {_SSIM_WINDOW} pixels a side, got {drawn.shape}")
    metrics = require("skimage.metrics", extra="evaluate")
    return float(
        metrics.structural_similarity(
            drawn,
            true,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
        )
    )


def region_l1(drawn: Picture, true: Picture, region: NDArray[np.float32]) -> float:
    """Mean absolute difference within a region, in [0, 1].

    Args:
        drawn: ``(H, W, 3)`` uint8 RGB.
        true: ``(H, W, 3)`` uint8 RGB.
        region: ``(H, W)`` weight of each pixel, not negative.

    Raises:
        ConfigError: If they differ in size, or the region is empty.
    """
    _require_alike(drawn, true)
    difference = np.abs(drawn.astype(np.float64) - true).mean(axis=2) / 255
    return _weighted_mean(difference, region)


def sharpness(picture: Picture, region: NDArray[np.float32]) -> float:
    """How sharp a region is: the variance of its Laplacian.

    Pertuz et al., "Analysis of focus measure operators", Pattern Recognition 46 (2013), LAPV; of
    the luma in [0, 1].

    Args:
        picture: ``(H, W, 3)`` uint8 RGB.
        region: ``(H, W)`` weight of each pixel, not negative.

    Returns:
        0 for a flat picture.

    Raises:
        ConfigError: If they differ in size, or the region is empty.
    """
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
    laplacian = np.asarray(cv2.Laplacian(luma, cv2.CV_64F), dtype=np.float64)
    mean = _weighted_mean(laplacian, region)
    return _weighted_mean(np.square(laplacian - mean), region)


def seam(picture: Picture, mask: NDArray[np.float32]) -> float:
    """Difference in colour across the edge of what was drawn: CIE dE (CIEDE2000).

    The mean colours of two rings are compared, sector by sector (twelve of them around the mask's
    middle): where the mask goes from 0.5 to 1, and where it is 0 but within a ring as wide beyond
    its foot. Skin alone differs too, so compare with the same number of the untouched picture.

    Args:
        picture: ``(H, W, 3)`` uint8 RGB.
        mask: ``(H, W)`` float32 in [0, 1]: how much of each pixel was drawn.

    Returns:
        Mean over the sectors that have both rings.

    Raises:
        ConfigError: If they differ in size, or the mask is empty or has no soft edge.
        MissingExtraError: If scikit-image is not installed.
    """
    if picture.shape[:2] != mask.shape:
        raise ConfigError(f"picture and mask differ in size: {picture.shape} and {mask.shape}")
    if not mask.any():
        raise ConfigError("the mask is empty")
    colour = require("skimage.color", extra="evaluate")
    lab = colour.rgb2lab(picture)
    inner = (mask >= 0.5) & (mask < 1)
    width = max(2, round(0.04 * mask.shape[0]))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    drawn = (mask > 0).astype(np.uint8)
    outer = (cv2.dilate(drawn, kernel) > 0) & (drawn == 0)
    rows, columns = np.indices(mask.shape)
    middle = (np.average(rows, weights=mask), np.average(columns, weights=mask))
    sector = ((np.arctan2(rows - middle[0], columns - middle[1]) + np.pi) / (2 * np.pi) * 12) % 12
    pairs = [
        (lab[inner & here].mean(axis=0), lab[outer & here].mean(axis=0))
        for here in (sector.astype(int) == number for number in range(12))
        if (inner & here).any() and (outer & here).any()
    ]
    if not pairs:
        raise ConfigError("the mask has no soft edge inside the picture")
    inside, outside = zip(*pairs, strict=True)
    return float(np.mean(colour.deltaE_ciede2000(np.stack(inside), np.stack(outside))))


class Lpips:
    """Learned perceptual distance (Zhang et al., CVPR 2018), by a network that the user supplies.

    An ONNX file with two inputs ``(N, 3, H, W)`` in [-1, 1], RGB, and one output with one number
    for each pair.
    """

    def __init__(self, path: Path) -> None:
        """Load the network.

        Args:
            path: The ONNX file.

        Raises:
            CheckpointError: If it is missing, damaged, or has other inputs or outputs.
        """
        self._path = path
        self._network = _compiled(path, inputs=2, outputs="a number")

    def distances(self, drawn: list[Picture], true: list[Picture]) -> NDArray[np.float64]:
        """Distance of each pair of pictures.

        Args:
            drawn: ``(H, W, 3)`` uint8 RGB each.
            true: ``(H, W, 3)`` uint8 RGB each.

        Returns:
            ``(N,)``, 0 for pictures that look equal.

        Raises:
            ConfigError: If the lists differ in length, or a pair in size.
            CheckpointError: If the network takes pictures of another size, or gives several
                numbers for a pair.
        """
        if len(drawn) != len(true):
            raise ConfigError(f"{len(drawn)} pictures are compared with {len(true)}")
        return np.array([self._distance(a, b) for a, b in zip(drawn, true, strict=True)])

    def _distance(self, drawn: Picture, true: Picture) -> float:
        _require_alike(drawn, true)  # OpenVINO crashes on a network that was given two sizes
        pair = [_signed(drawn), _signed(true)]
        takes = [port.partial_shape for port in self._network.inputs]
        if not all(ov.PartialShape(list(pair[0].shape)).compatible(shape) for shape in takes):
            raise CheckpointError(f"{self._path} takes {takes[0]}, pictures are {pair[0].shape}")
        gives = self._network(pair)[0]
        if gives.size != 1:
            raise CheckpointError(f"{self._path} gives {gives.shape} for a pair, not one number")
        return float(gives.item())


class FaceEmbedding:
    """Features of faces, by a network that the user supplies: identity, or those of an FID.

    An ONNX file with one input ``(N, 3, S, S)`` in [-1, 1], RGB, and one output ``(N, E)``.
    """

    def __init__(self, path: Path) -> None:
        """Load the network.

        Args:
            path: The ONNX file.

        Raises:
            CheckpointError: If it is missing, damaged, or has other inputs or outputs.
        """
        self._network = _compiled(path, inputs=1, outputs="a row")
        side = self._network.input(0).partial_shape[2]
        self._size = side.get_length() if side.is_static else IDENTITY_SIZE

    def features(self, faces: list[Picture]) -> NDArray[np.float32]:
        """Features of faces.

        Args:
            faces: ``(H, W, 3)`` uint8 RGB each, at least one; scaled to the network's size.

        Returns:
            ``(N, E)`` float32.

        Raises:
            ConfigError: If there are no faces.
        """
        if not faces:
            raise ConfigError("there are no faces to find features of")
        size = (self._size, self._size)
        scaled = (cv2.resize(face, size, interpolation=cv2.INTER_AREA) for face in faces)
        rows = [self._network([_signed(np.asarray(face, dtype=np.uint8))])[0] for face in scaled]
        return np.concatenate([row.reshape(1, -1) for row in rows]).astype(np.float32)


def identity_similarity(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Mean cosine of the features of faces, pair by pair: 1 for one person seen alike.

    Args:
        a: ``(N, E)``, at least one row, none of them 0.
        b: ``(N, E)``.

    Raises:
        ConfigError: If they differ in shape, or a row has no direction.
    """
    if a.shape != b.shape or a.ndim != 2 or not len(a):
        raise ConfigError(f"features must be alike and (N, E), got {a.shape} and {b.shape}")
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    if not (lengths > 0).all():  # NaN too
        raise ConfigError("the features of a face are 0 or NaN: they have no direction")
    cosines = (a * b).sum(axis=1) / lengths
    return float(cosines.mean())


def _signed(picture: Picture) -> NDArray[np.float32]:
    """``(1, 3, H, W)`` in [-1, 1]."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=np.float32) / 127.5 - 1


def _compiled(
    path: Path, *, inputs: int, outputs: Literal["a number", "a row"]
) -> ov.CompiledModel:
    if not path.is_file():
        raise CheckpointError(f"no such network: {str(path)!r}")
    try:
        model = openvino_core().read_model(path)
    except RuntimeError as err:
        raise CheckpointError(f"cannot read {path} as a network; export it to ONNX again") from err
    takes, gives = (
        [port.partial_shape for port in ports] for ports in (model.inputs, model.outputs)
    )
    are_pictures = all(s.rank.is_static and s.compatible(_PICTURES) for s in takes)
    if len(takes) != inputs or not are_pictures:
        raise CheckpointError(
            f"{path} takes {_listed(takes)}; {inputs} of [1,3,H,W] needed, RGB pictures"
        )
    # What follows is of length 1, or not known before the network is run.
    num_kept = {"a number": 1, "a row": 2}[outputs]
    if len(gives) != 1 or not _is_flat(gives[0], num_kept):
        raise CheckpointError(
            f"{path} gives {_listed(gives)}; needed is {outputs} for each picture"
        )
    return openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def _listed(shapes: list[ov.PartialShape]) -> str:
    return " and ".join(str(shape) for shape in shapes) or "nothing"


def _is_flat(shape: ov.PartialShape, num_kept: int) -> bool:
    """Whether only the first so many dimensions may be longer than 1."""
    if shape.rank.is_dynamic:
        return True
    return len(shape) >= num_kept and all(
        dimension.is_dynamic or dimension.get_length() == 1 for dimension in list(shape)[num_kept:]
    )


def _require_alike(drawn: Picture, true: Picture) -> None:
    if drawn.shape != true.shape:
        raise ConfigError(f"pictures differ in size: {drawn.shape} and {true.shape}")


def _weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float32]) -> float:
    if values.shape != weights.shape or not weights.sum() > 0:
        raise ConfigError(
            f"a region must have the picture's size {values.shape} and some weight, got "
            f"{weights.shape} with {weights.sum():.3g}"
        )
    return float((values * weights).sum() / weights.sum(dtype=np.float64))
