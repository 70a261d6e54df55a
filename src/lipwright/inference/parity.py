"""Compare a generator's graph in a reduced precision with fp32, before it is trusted.

oneDNN's bf16 convolutions may read memory that is not theirs, and int8 may leave its ranges, so
each graph is held against fp32 on many rows, with freed memory filled with NaN before.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from lipwright.checkpoints import read_onnx
from lipwright.faces.points import NUM_LANDMARKS
from lipwright.inference.backend import (
    LANDMARKS,
    GeneratorRecord,
    Precision,
    graph_record,
    network_inputs,
)
from lipwright.inference.machine import available_cores
from lipwright.inference.openvino_backend import graph_ports, sized_graph, told_landmarks

BOUND = 2e-2
"""How far a reduced precision may be from fp32, of values in [0, 1]."""
# Rows at a time: kernels are chosen by batch size, so each size can go wrong by itself. Those that
# are compiled are 1, for as long as few rows come, and `BATCH_SIZE`.
_BATCHES = (1, 2, 1, 4, 5, 8, 15, 28)
NUM_COMPARED = sum(_BATCHES)
_SEED = 96
_CAMERA_NOISE = 2 / 255
# Sizes of memory that is filled with NaN and freed before every batch, in numbers: oneDNN's bf16
# convolutions read memory that is not theirs on very narrow maps, which only shows there.
_POISONED = (10_000, 300_000, 2_000_000)
_NUM_POISONED = 8  # of each size
COMPARISON = "7"
"""Version of the comparison, to be changed with its rows and with how graphs are compiled: older
verdicts do not count."""


def graph_difference(candidate: Path, precision: Precision, reference: Path) -> float:
    """Largest difference of what a graph draws in a precision from what fp32 draws.

    The 64 rows are made from a fixed seed: random speech, and pictures in the colours of faces,
    with hair, teeth and the noise of a camera: on smooth ones bf16 of a generator that moves pixels
    looks harmless and is off by 0.09 on people. Freed memory is filled with NaN before each batch.
    A graph that may be told landmarks is compared both ways, and so is one that draws all of its
    picture, or only the lower half.

    Args:
        candidate: The graph, as .onnx or int8 .xml.
        precision: To run it in.
        reference: The graph that runs in fp32.

    Returns:
        Of any value of any row; NaN if one is none, infinite if the two are different networks.

    Raises:
        CheckpointError: If a file is damaged or holds something else.
    """
    graphs = []
    for path in (reference, candidate):
        model, metadata = read_onnx(path)
        graphs.append((model, graph_record(metadata, graph_ports(model), path)))
    (plain, record), (reduced, other) = graphs
    if record != other:
        return float("inf")
    worst = _difference(plain, reduced, precision, record)  # NaN stays NaN
    plain_told, reduced_told = told_landmarks(plain), told_landmarks(reduced)
    if plain_told is None or reduced_told is None:
        return worst if plain_told is reduced_told else float("inf")
    told = _difference(plain_told, reduced_told, precision, record)
    return float(np.maximum(worst, told))  # NaN stays NaN


def _difference(
    plain: ov.Model, reduced: ov.Model, precision: Precision, record: GeneratorRecord
) -> float:
    """Largest difference of two graphs; they are told landmarks where they ask for them."""
    threads, half = available_cores(), record.resolution // 2
    _poison_memory()
    full = sized_graph(plain, "fp32", num_threads=threads)
    networks = [
        sized_graph(reduced, precision, num_threads=threads, whole=whole) for whole in (True, False)
    ]
    is_told = any(LANDMARKS in port.names for port in plain.inputs)
    rng, worst = np.random.default_rng(_SEED), 0.0
    for mel, faces in graph_inputs(record.resolution, record.columns):
        places = rng.uniform(0.2, 0.8, (len(mel), NUM_LANDMARKS, 2)).astype(np.float32)
        drawn = []
        for network in (full, *networks):
            _poison_memory()
            batches = network_inputs(record, faces, mel, None, places if is_told else None)
            drawn.append(np.concatenate([network(batch) for batch in batches]))
        expected, whole, lower = drawn
        worst = float(np.maximum(worst, np.abs(whole - expected).max()))
        worst = float(np.maximum(worst, np.abs((lower - expected)[:, :, half:]).max()))
    return worst


def _poison_memory() -> None:
    """Leave NaN in memory that is free."""
    for size in _POISONED:
        arrays = [np.full(size, np.nan, dtype=np.float32) for _ in range(_NUM_POISONED)]
        del arrays


def graph_inputs(
    resolution: int, columns: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Batches of mel ``(B, 1, 80, columns)`` and faces ``(B, 6, R, R)``, the same every time."""
    rng = np.random.default_rng(_SEED)
    for count in _BATCHES:
        mel = rng.uniform(-4, 4, (count, 1, 80, columns)).astype(np.float32)
        yield mel, np.stack([_face_pair(rng, resolution) for _ in range(count)])


def _face_pair(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """``(6, R, R)``: a picture in colours of skin, without its lower half and shifted."""
    red = rng.uniform(0.35, 0.75)
    tone = red * np.array([1, rng.uniform(0.6, 0.85), rng.uniform(0.4, 0.75)])
    light = 1 + 0.15 * _waves(rng, 3, size) + 0.06 * _waves(rng, 8, size)
    y, x = np.mgrid[0:size, 0:size] / size
    for cx, cy, width, depth in ((0.33, 0.36, 0.09, 0.5), (0.67, 0.36, 0.09, 0.5)):
        light *= 1 - depth * np.exp(-(((x - cx) / width) ** 2) - ((y - cy) / 0.04) ** 2)  # eyes
    light *= 1 - 0.35 * np.exp(-(((x - 0.5) / 0.15) ** 2) - ((y - 0.74) / 0.05) ** 2)  # mouth
    hair = np.asarray(cv2.blur(rng.standard_normal((size, size)), (1, max(1, size // 18))))
    light *= 1 + rng.uniform(0.1, 0.3) * (_waves(rng, 5, size) > 0.25) * hair / hair.std()
    picture = tone[:, None, None] * light
    across, down = (x - 0.5) / rng.uniform(0.1, 0.2), (y - 0.74) / rng.uniform(0.01, 0.06)
    inside = across**2 + down**2 < 1
    is_tooth = inside & (down < 0) & (np.modf(12 * np.abs(x - 0.5))[0] > 0.1)
    picture = np.where(inside, 0.2 * picture, picture)
    picture = np.where(is_tooth, rng.uniform(0.6, 0.95), picture)
    picture = np.clip(picture + rng.normal(0, _CAMERA_NOISE, picture.shape), 0, 1)
    target = np.roll(picture, 1, axis=2)
    target[:, size // 2 :] = 0
    return np.concatenate([target, picture]).astype(np.float32)


def _waves(rng: np.random.Generator, cells: int, size: int) -> NDArray[np.float64]:
    coarse = rng.standard_normal((cells, cells))
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC))
