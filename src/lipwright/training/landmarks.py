"""Train the landmark network on what a large one says of many faces."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipwright.checkpoints import Metadata
from lipwright.corpus.facepack import FacePack, LabelledFace
from lipwright.errors import ConfigError
from lipwright.faces.landmarks import LANDMARK_MARGIN
from lipwright.faces.points import EYE_CORNERS, GROUPS, LIPS, MIRROR, NUM_LANDMARKS
from lipwright.models.build import build_network, resolution_of, save_network
from lipwright.models.landmarks import LandmarkConfig
from lipwright.training.augment import degrade, draw_picture_change, occlude, recolour
from lipwright.training.engine import Engine
from lipwright.training.loop import set_learning_rate
from lipwright.training.recipe import (
    NetworkConfig,
    OptimizerConfig,
    RunConfig,
    require_positive,
)
from lipwright.training.state import TrainState
from lipwright.training.windows import Batch

WEIGHTS_NAME = "landmarks.safetensors"
_TURNED, _FROM_RIGHT = np.array([-1, 1], np.float32), np.array([1, 0], np.float32)
_NUM_SHOWN = 24  # faces of a sheet
_INNER = GROUPS["inner_lips"]
_LOWER, _UPPER = list(_INNER[1:10]), list(_INNER[:10:-1])
"""Points of the lower inner lip, and those of the upper one above them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LandmarkRecipe:
    """A run that trains the landmark network."""

    faces: Path
    """What ``lipwright label`` wrote."""
    run: RunConfig
    """How long."""
    batch_size: int = 48
    """Faces in a step."""
    workers: int = 1
    """Processes that make batches; 0 for none."""
    seed: int = 1
    """Of everything drawn."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """What is trained."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How."""
    ema_decay: float = 0.999
    """Of the running mean of the weights, which is what is saved for use."""
    gap: float = 1.0
    """Weight of the error of the gaps between the inner lips, over that of the points."""
    pose: float = 0.2
    """Weight of the error of yaw and pitch."""
    description: str = ""
    """What the faces are, with attributions; goes into the weights."""
    licence: str = "unknown"
    """Of the weights that come of it, as an SPDX name where there is one."""

    def __post_init__(self) -> None:
        require_positive(self, "batch_size")
        if not self.gap >= 0 or not self.pose >= 0:
            raise ConfigError(f"gap and pose must be at least 0, got {self.gap} and {self.pose}")
        if self.workers < 0 or self.seed < 0 or not 0 <= self.ema_decay < 1:
            raise ConfigError(
                f"workers and seed must be at least 0 and ema_decay from 0 to below 1, got "
                f"{self.workers}, {self.seed} and {self.ema_decay}"
            )


class FaceWindows:
    """Batches of faces, each turned, lit, blurred and covered in its own way."""

    def __init__(self, pack: FacePack, *, resolution: int, batch_size: int, seed: int) -> None:
        """Prepare to draw.

        Args:
            pack: Labelled faces.
            resolution: Height and width of a picture in pixels.
            batch_size: Faces in a batch.
            seed: Of everything drawn.
        """
        self._pack = pack
        self._resolution = resolution
        self._batch_size = batch_size
        self._seed = seed
        counts = Counter(pack.people)
        weights = np.array([counts[person] ** -0.6 for person in pack.people])
        self._probabilities = weights / weights.sum()

    def batch(self, step: int) -> Batch:
        """Make one batch.

        Args:
            step: Its number.

        Returns:
            ``faces`` ``(B, 3, R, R)`` uint8; ``points`` ``(B, P, 2)`` as shares of the side;
            ``pose`` ``(B, 2)`` in radians.
        """
        rng = np.random.default_rng([self._seed, step])
        chosen = rng.choice(len(self._pack), self._batch_size, p=self._probabilities)
        rows = [self._row(self._pack.face(int(index)), rng) for index in chosen]
        pictures, points, poses = zip(*rows, strict=True)
        return {
            "faces": torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2)),
            "points": torch.from_numpy(np.stack(points)),
            "pose": torch.from_numpy(np.stack(poses)),
        }

    def _row(
        self, face: LabelledFace, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        size = self._resolution
        picture, points = cut_face(face, _draw_map(face, size, rng), size=size)
        pose = face.pose
        if rng.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
            points = points[list(MIRROR)] * _TURNED + _FROM_RIGHT
            pose = pose * _TURNED
        picture = degrade(recolour(picture, draw_picture_change(rng)), rng)
        return occlude(picture, rng), points, pose


def cut_face(
    face: LabelledFace, affine: NDArray[np.float64], *, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Cut a square out of a labelled picture.

    Args:
        face: The face.
        affine: ``(2, 3)`` from places in its picture to places in the square, both in pixels
            counted from the corner of the first one.
        size: Height and width of the square in pixels.

    Returns:
        ``(size, size, 3)`` uint8 RGB, and ``(P, 2)`` float32 points as shares of the side.
    """
    points = (face.points @ affine[:, :2].T + affine[:, 2]) / size
    centres = affine.copy()  # OpenCV counts from the middle of the first pixel
    centres[:, 2] += affine[:, :2] @ [0.5, 0.5] - 0.5
    scale = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    picture: NDArray[np.integer | np.floating] = face.picture
    if scale < 0.8:  # or warping would skip pixels
        picture = cv2.GaussianBlur(picture, (0, 0), 0.4 / scale)
    warped = cv2.warpAffine(
        picture, centres, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, dtype=np.uint8), points.astype(np.float32)


def runtime_map(face: LabelledFace, size: int) -> NDArray[np.float64]:
    """The map with which :func:`cut_face` cuts what the network sees at run time."""
    scale = size / (LANDMARK_MARGIN * face.side)
    shift = size / 2 - scale * face.picture.shape[0] / 2
    return np.array([[scale, 0, shift], [0, scale, shift]])


def _draw_map(face: LabelledFace, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Another box than the rule's: turned, stretched, shifted."""
    angle = np.radians(np.clip(rng.normal(0, 14), -45, 45))
    scale = size / (LANDMARK_MARGIN * face.side) * np.exp(rng.uniform(-0.2, 0.18))
    stretch = np.exp(rng.uniform(-0.08, 0.08))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([scale * stretch, scale / stretch])
    centre = np.full(2, face.picture.shape[0] / 2)
    shift = size * (0.5 + rng.uniform(-0.07, 0.07, 2)) - linear @ centre
    return np.column_stack([linear, shift])


class LandmarkTrainer:
    """Holds the landmark network and takes its steps."""

    def __init__(self, recipe: LandmarkRecipe) -> None:
        """Build the network and open the faces.

        Args:
            recipe: The run.
        """
        self._recipe = recipe
        self._engine = Engine(recipe.run)
        self._options = {
            "resolution": LandmarkConfig().resolution,
            "num_points": NUM_LANDMARKS,
            **recipe.network.options,
        }
        self._resolution = resolution_of(self._options)
        torch.manual_seed(recipe.seed)
        network = build_network("landmarks", recipe.network.architecture, self._options)
        optimizer = torch.optim.Adam(
            network.parameters(), lr=recipe.optimizer.learning_rate, betas=recipe.optimizer.betas
        )
        average = torch.optim.swa_utils.AveragedModel(
            network,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema_decay),
            use_buffers=True,
        )
        self._network, self._optimizer = self._engine.prepare(network, optimizer)
        self._average = average.to(self._engine.device).eval()
        self.windows = FaceWindows(
            FacePack(recipe.faces / "train.faces"),
            resolution=self._resolution,
            batch_size=recipe.batch_size,
            seed=recipe.seed,
        )
        self._held_out = FacePack(recipe.faces / "val.faces")
        self._weights = _point_weights().to(self._engine.device)
        self.state = TrainState(
            networks={"landmarks": self._engine.unwrap(self._network), "average": self._average},
            optimizers={"landmarks": self._optimizer},
            identity={
                "kind": "landmarks",
                "network": [recipe.network.architecture, self._options],
                "seed": recipe.seed,
            },
        )

    def step(self, batch: Batch) -> dict[str, float]:
        """Learn from one batch of :class:`FaceWindows`."""
        self._network.train()
        recipe = self._recipe
        rate = set_learning_rate(
            self._optimizer, recipe.optimizer, step=self.state.step, steps=recipe.run.steps
        )
        batch = self._engine.move(batch)
        points, pose = self._network(batch["faces"].float() / 255)
        eyes = _eye_distance(batch["points"])[:, None]  # (B, 1)
        error = (points - batch["points"]).norm(dim=-1) / eyes  # (B, P)
        terms = {
            "landmarks/points": (error * self._weights).mean(),
            "landmarks/gap": ((_gaps(points) - _gaps(batch["points"])) / eyes[..., None])
            .abs()
            .mean(),
            "landmarks/pose": (pose - batch["pose"]).abs().mean(),
        }
        loss = terms["landmarks/points"] + recipe.gap * terms["landmarks/gap"]
        loss = loss + recipe.pose * terms["landmarks/pose"]
        norm = self._engine.minimise(
            loss, self._network, self._optimizer, clip_norm=recipe.optimizer.clip_norm
        )
        self._average.update_parameters(self._engine.unwrap(self._network))
        return {
            **{name: float(term.detach()) for name, term in terms.items()},
            "landmarks/gradient_norm": norm,
            "landmarks/learning_rate": rate,
        }

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """On faces of people that are held out, cut as at run time."""
        found, true, poses, true_poses, is_portrait = [], [], [], [], []
        for first in range(0, len(self._held_out), 64):
            faces = [
                self._held_out.face(index)
                for index in range(first, min(first + 64, len(self._held_out)))
            ]
            cuts = [
                cut_face(face, runtime_map(face, self._resolution), size=self._resolution)
                for face in faces
            ]
            pictures = np.stack([picture for picture, _ in cuts]).transpose(0, 3, 1, 2)
            rows = torch.from_numpy(pictures).to(self._engine.device).float() / 255
            points, pose = self._average(rows)
            found.append(points.cpu())
            poses.append(pose.cpu())
            true.append(torch.from_numpy(np.stack([points for _, points in cuts])))
            true_poses.append(torch.from_numpy(np.stack([face.pose for face in faces])))
            is_portrait += [face.person.startswith("portraits") for face in faces]
        return {
            **_errors(torch.cat(found), torch.cat(true), torch.tensor(is_portrait)),
            "held_out/pose_degrees": float(
                torch.rad2deg((torch.cat(poses) - torch.cat(true_poses)).abs()).mean()
            ),
        }

    @torch.no_grad()
    def sheet(self) -> NDArray[np.uint8] | None:
        """Held-out faces with what is found (white) over what the teacher says (green)."""
        places = np.linspace(0, len(self._held_out) - 1, _NUM_SHOWN).astype(int)
        tiles = []
        for index in places.tolist():
            face = self._held_out.face(index)
            size = 2 * self._resolution
            picture, true = cut_face(face, runtime_map(face, size), size=size)
            small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            row = torch.from_numpy(small.transpose(2, 0, 1)[None].copy()).float() / 255
            found = self._average(row.to(self._engine.device))[0][0].cpu().numpy()
            for points, colour in ((true, (0, 255, 0)), (found, (255, 255, 255))):
                for x, y in (points * size).round().astype(int).tolist():
                    cv2.circle(picture, (x, y), 1, colour, -1)
            tiles.append(picture)
        rows = [np.concatenate(tiles[i : i + 6], axis=1) for i in range(0, _NUM_SHOWN, 6)]
        return np.concatenate(rows)

    def export(self, folder: Path) -> None:
        """Write the weights for use: their running mean."""
        save_network(
            self._average.module,
            folder / WEIGHTS_NAME,
            Metadata(
                kind="landmarks",
                architecture=self._recipe.network.architecture,
                config=self._options,
                step=self.state.step,
                licence=self._recipe.licence,
                training_data=self._recipe.description,
            ),
        )


def _point_weights() -> Tensor:
    """What an error of each point counts: lips most, mean 1."""
    weights = torch.ones(NUM_LANDMARKS)
    weights[list(LIPS)] = 2.5
    weights[list(GROUPS["oval"])] = 0.6  # nobody knows where exactly a forehead ends
    return weights / weights.mean()


def _eye_distance(points: Tensor) -> Tensor:
    left, right = EYE_CORNERS
    distance = points[:, left] - points[:, right]
    return cast(Tensor, torch.linalg.vector_norm(distance, dim=-1))  # (B,)


def _gaps(points: Tensor) -> Tensor:
    """From upper inner lip to lower: ``(B, 9, 2)``."""
    return points[:, _LOWER] - points[:, _UPPER]


def _errors(found: Tensor, true: Tensor, is_portrait: Tensor) -> dict[str, float]:
    """Normalised mean error, and how well the inner lips' gap agrees, where there are faces."""
    eyes = _eye_distance(true)
    error = (found - true).norm(dim=-1) / eyes[:, None]  # (N, P)
    openings = torch.stack(
        [_gaps(points)[:, 4].norm(dim=-1) / _eye_distance(points) for points in (found, true)]
    )  # (2, N)
    errors = {"held_out/nme_lips": float(error[:, list(LIPS)].mean())}
    for name, which in (("portraits", is_portrait), ("speakers", ~is_portrait)):
        if which.any():
            errors[f"held_out/nme_{name}"] = float(error[which].mean())
        if which.sum() > 1:  # or nothing could vary
            correlation = torch.corrcoef(openings[:, which])[0, 1]
            errors[f"held_out/gap_correlation_{name}"] = float(correlation)
    return errors
