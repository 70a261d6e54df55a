"""Train the part of an articulated generator that hears: from speech to the motion of lips and jaw.

Landmarks are all it needs, so a step hears a minute and a half of speech in the time that a step on
pictures takes for two seconds.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lipwright.checkpoints import Metadata
from lipwright.corpus import CORPUS_FPS, Clips, PackReader, load_clips
from lipwright.errors import ConfigError, CorpusError
from lipwright.faces.motion import MOTION_POINTS, articulation
from lipwright.faces.points import MESH_INDICES, MIRROR, SHAPE_PAIRS
from lipwright.models.build import build_network, load_network, save_network
from lipwright.models.hearing import ARTICULATION_LENGTH, Hearing, HearingConfig
from lipwright.models.motion_expert import MotionExpert
from lipwright.speech import (
    EXPERT_LEAD,
    MEL_RATE,
    SILENCE,
    cut_windows,
    expert_columns,
    frame_lead,
    window_starts,
)
from lipwright.training.average import running_mean
from lipwright.training.distil import load_teacher, require_alike
from lipwright.training.engine import Engine
from lipwright.training.loop import SCORE, set_learning_rate
from lipwright.training.losses import in_clip_contrastive_loss
from lipwright.training.recipe import (
    DataConfig,
    NetworkConfig,
    OptimizerConfig,
    RunConfig,
    Term,
    require_positive,
)
from lipwright.training.state import TrainState
from lipwright.training.voices import at_tempo, change_speech, draw_speech_change
from lipwright.training.windows import Batch, ClipDrawer, WindowConfig

WEIGHTS_NAME = "hearing.safetensors"
NUM_FRAMES = 60  # of a stretch of speech: 2.4 s
_EVALUATION_SEED = 977
_ROUNDING = 0.6  # twentieths of the eye distance below which an error counts squared


@dataclass(frozen=True, kw_only=True, slots=True)
class HearingRecipe:
    """A run that trains the part that hears."""

    data: DataConfig
    """Where speech comes from; a batch is ``batch_size`` stretches of 2.4 s."""
    run: RunConfig
    """How long."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """What is trained."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How."""
    expert: Path | None = None
    """Weights of the frozen expert on landmarks; needed once the sync term has weight."""
    sync: Term = field(default_factory=Term)
    """The expert's term: that it finds the right speech for what was heard."""
    teacher: Path | None = None
    """Weights of a larger generator to learn from as well."""
    distil: Term = field(default_factory=Term)
    """The teacher's term: what it hears in the same speech."""
    agreement: float = 0.3
    """Weight of the correlation of gap, width and height with the true ones over a stretch."""
    tempo: float = 0.15
    """Largest change of tempo, as a logarithm."""
    rest_share: float = 0.05
    """Share of stretches in which nobody speaks and the mouth rests."""
    ema_decay: float = 0.99
    """Of the running mean of the weights, which is what is saved for use."""

    def __post_init__(self) -> None:
        require_positive(self, "ema_decay")
        if not self.agreement >= 0 or not 0 <= self.tempo < 0.7 or not self.ema_decay < 1:
            raise ConfigError(
                f"agreement must be at least 0, tempo from 0 to below 0.7 and ema_decay below 1, "
                f"got {self.agreement}, {self.tempo} and {self.ema_decay}"
            )
        if not 0 <= self.rest_share < 1:
            raise ConfigError(f"rest_share must be from 0 to below 1, got {self.rest_share}")
        if self.expert is None and self.sync.weight > 0:
            raise ConfigError('sync has weight but no expert is given: expert = "FILE"')
        if self.teacher is None and self.distil.weight > 0:
            raise ConfigError('distil has weight but no teacher is given: teacher = "FILE"')


class HearingWindows:
    """Stretches of speech, each in another voice, and how lips and jaw stood in each frame."""

    def __init__(
        self,
        clips: Clips,
        config: WindowConfig,
        *,
        columns: int,
        tempo: float = 0.0,
        rest_share: float = 0.0,
    ) -> None:
        """Prepare to draw.

        Args:
            clips: Where from; prepared with landmarks.
            config: How; pictures are not looked at.
            columns: Of a window of speech.
            tempo: Largest change of tempo, as a logarithm.
            rest_share: Share of stretches without speech.

        Raises:
            CorpusError: If no clip is long enough.
        """
        shortest = ceil(NUM_FRAMES * np.exp(tempo)) + 1
        self._drawer = ClipDrawer(clips, config, min_frames=shortest)
        self._columns, self._tempo, self._rest_share = columns, tempo, rest_share
        self._length = ceil(Fraction(MEL_RATE, CORPUS_FPS) * NUM_FRAMES) + columns
        self._heard: dict[str, NDArray[np.float32]] = {}  # small, and slow to compute: kept

    def batch(self, step: int) -> Batch:
        """Make one batch.

        Args:
            step: Its number.

        Returns:
            ``mel`` ``(B, 1, 80, T)``; ``places`` ``(B, N)`` int64: which of the network's answers
            belongs to each of the N frames; ``articulation`` ``(B, N, A)``, see ``faces.motion``;
            ``sync_mel`` ``(B, 1, 80, 16 N / 5)``, the unchanged speech of the N frames, for the
            expert.

        Raises:
            CorpusError: If a clip has no landmarks.
        """
        rng = self._drawer.rng(step)
        rows = [self._row(rng) for _ in range(self._drawer.config.batch_size)]
        return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}

    def _row(self, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        clip = self._drawer.clip(rng)
        tempo = float(np.exp(rng.uniform(-self._tempo, self._tempo)))
        mel = np.ascontiguousarray(at_tempo(clip.mel.T, tempo).T)
        mouth = at_tempo(self._of(clip), tempo)
        if rng.random() < self._rest_share:
            mel, mouth = np.full_like(mel, SILENCE), np.zeros_like(mouth)
        first = int(rng.integers(0, len(mouth) - NUM_FRAMES + 1))
        frames = [Fraction(i, CORPUS_FPS) for i in range(first, first + NUM_FRAMES)]
        starts = window_starts(frames, lead=frame_lead(self._columns))
        of_expert = window_starts(frames[:1], lead=EXPERT_LEAD)
        changed = mel
        if self._drawer.config.with_speech_changes:
            changed = change_speech(mel, draw_speech_change(rng), rng)
        return {
            "mel": cut_windows(changed, starts[:1], length=self._length)[0],
            "places": starts - starts[0],
            "articulation": mouth[first : first + NUM_FRAMES],
            "sync_mel": cut_windows(mel, of_expert, length=expert_columns(NUM_FRAMES))[0],
        }

    def _of(self, clip: PackReader) -> NDArray[np.float32]:
        """``(N, A)``: the same on both sides, for nobody hears which side of a mouth moved."""
        key = str(clip.path)
        if key not in self._heard:
            mesh = clip.points
            if mesh is None:
                raise CorpusError(
                    f"{clip.path} has no landmarks; prepare the corpus again with --landmarks"
                )
            points = mesh[:, list(MESH_INDICES)]
            turned = points[:, list(MIRROR)] * (-1, 1) + (1, 0)
            both = articulation(points) + articulation(turned)
            self._heard[key] = (both / 2).astype(np.float32)
        return self._heard[key]


class HearingTrainer:
    """Holds the hearing network and takes its steps."""

    def __init__(self, recipe: HearingRecipe) -> None:
        """Build the network and open the corpus.

        Args:
            recipe: The run.
        """
        self._recipe = recipe
        self._engine = Engine(recipe.run)
        torch.manual_seed(recipe.data.seed)
        hearing = build_network("hearing", recipe.network.architecture, recipe.network.options)
        optimizer = torch.optim.AdamW(
            hearing.parameters(),
            lr=recipe.optimizer.learning_rate,
            betas=recipe.optimizer.betas,
            weight_decay=recipe.optimizer.weight_decay,
        )
        self._hearing, self._optimizer = self._engine.prepare(hearing, optimizer)
        self._mean = running_mean(self._engine.unwrap(self._hearing), recipe.ema_decay)
        self._expert = None if recipe.expert is None else self._load_expert(recipe.expert)
        self._teacher = None if recipe.teacher is None else self._load_teacher(recipe.teacher)
        self._numbers = self._engine.move({"numbers": mouth_numbers()})["numbers"]
        self.windows = self._windows(is_training=True)
        self._held_out = self._windows(is_training=False)
        self.state = TrainState(
            networks={"hearing": self._engine.unwrap(self._hearing), "mean": self._mean},
            optimizers={"hearing": self._optimizer},
            identity={
                "kind": "hearing",
                "network": [recipe.network.architecture, dict(recipe.network.options)],
                "seed": recipe.data.seed,
            },
        )

    def _load_expert(self, path: Path) -> MotionExpert:
        expert, meta = load_network(path, kind="expert")
        if not isinstance(expert, MotionExpert):
            raise ConfigError(
                f"{path} holds a {meta.architecture} expert; what is heard are landmarks, which "
                f"only a motion expert judges"
            )
        if expert.config.frames > NUM_FRAMES // 2:
            raise ConfigError(
                f"{path} looks at {expert.config.frames} frames; of a stretch of {NUM_FRAMES} that "
                f"leaves too few windows to choose from: give one of at most {NUM_FRAMES // 2}"
            )
        self._temperature = float(meta.notes.get("temperature", 0.07))
        self._engine.place(expert.requires_grad_(False))
        return expert

    def _load_teacher(self, path: Path) -> Hearing:
        teacher = load_teacher(path).hearing
        columns = cast(Hearing, self._engine.unwrap(self._hearing)).config.columns
        require_alike(path, "columns", teacher.config.columns, columns)
        self._engine.place(teacher)
        return teacher

    def _windows(self, *, is_training: bool) -> HearingWindows:
        data = self._recipe.data
        config = WindowConfig(
            resolution=0,
            batch_size=data.batch_size,
            seed=data.seed if is_training else _EVALUATION_SEED,
            with_speech_changes=data.with_speech_changes and is_training,
            speaker_balance=data.speaker_balance if is_training else 1.0,
        )
        options = self._recipe.network.options
        return HearingWindows(
            # Puppets move and speak as their drivers do: to landmarks they are nothing new.
            load_clips(data.corpus, "train" if is_training else "val", with_puppets=False),
            config,
            columns=int(options.get("columns", HearingConfig().columns)),
            tempo=self._recipe.tempo if is_training else 0.0,
            rest_share=self._recipe.rest_share if is_training else 0.0,
        )

    def step(self, batch: Batch) -> dict[str, float]:
        """Learn from one batch of :class:`HearingWindows`."""
        recipe, step = self._recipe, self.state.step
        self._hearing.train()
        rate = set_learning_rate(
            self._optimizer, recipe.optimizer, step=step, steps=recipe.run.steps
        )
        batch = self._engine.move(batch)
        heard = _at_places(self._hearing(batch["mel"]), batch["places"])  # (B, N, A)
        true = batch["articulation"]
        terms = {
            "hearing/articulation": functional.smooth_l1_loss(heard, true, beta=_ROUNDING),
            "hearing/agreement": correlations(heard @ self._numbers, true @ self._numbers).mean(),
        }
        loss = terms["hearing/articulation"] - recipe.agreement * terms["hearing/agreement"]
        if weight := recipe.sync.at(step):
            terms["hearing/sync"] = self._sync(heard, batch["sync_mel"])
            loss = loss + weight * terms["hearing/sync"]
        if self._teacher is not None and (weight := recipe.distil.at(step)):
            with torch.no_grad():
                taught = _at_places(self._teacher(batch["mel"]), batch["places"])
            terms["hearing/distil"] = functional.smooth_l1_loss(heard, taught, beta=_ROUNDING)
            loss = loss + weight * terms["hearing/distil"]
        norm = self._engine.minimise(
            loss, self._hearing, self._optimizer, clip_norm=recipe.optimizer.clip_norm
        )
        self._mean.update_parameters(self._engine.unwrap(self._hearing))
        return {
            **{name: float(term.detach()) for name, term in terms.items()},
            "hearing/gradient_norm": norm,
            "hearing/learning_rate": rate,
        }

    def _sync(self, heard: Tensor, mel: Tensor) -> Tensor:
        """How well the expert tells which of a stretch's speech each window of motion says."""
        assert self._expert is not None, "the recipe asks for one"  # noqa: S101
        # The expert knows motion against the median of a clip.
        centred = heard - heard.median(dim=1, keepdim=True).values
        speech, lips = self._expert.pairs(mel, centred)  # (B, K, E)
        return in_clip_contrastive_loss(
            speech.flatten(0, 1),
            lips.flatten(0, 1),
            windows_per_clip=lips.shape[1],
            temperature=self._temperature,
        )

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """On held-out speakers, by the running mean of the weights."""
        self._mean.eval()
        found: dict[str, list[Tensor]] = {}
        for index in range(self._recipe.run.evaluate_batches):
            batch = self._engine.move(self._held_out.batch(index))
            heard = _at_places(self._mean(batch["mel"]), batch["places"])
            true = batch["articulation"]
            numbers, aims = heard @ self._numbers, true @ self._numbers
            found.setdefault("agreement", []).append(correlations(numbers, aims))
            found.setdefault("amplitude", []).append(numbers.std(dim=1) / aims.std(dim=1))
            if self._expert is not None:
                found.setdefault("sync", []).append(self._sync(heard, batch["sync_mel"])[None])
                found.setdefault("sync_of_true", []).append(
                    self._sync(true, batch["sync_mel"])[None]
                )
        agreement, amplitude = (torch.cat(found[name]) for name in ("agreement", "amplitude"))
        means = {
            f"held_out/{name}_{number}": float(values[:, column].mean())
            for name, values in (("agreement", agreement), ("amplitude", amplitude))
            for column, number in enumerate(NUMBER_NAMES)
        }
        for name in ("sync", "sync_of_true"):
            if name in found:
                means[f"held_out/{name}"] = float(torch.cat(found[name]).mean())
        means[SCORE] = means["held_out/agreement_gap"]
        return means

    def sheet(self) -> NDArray[np.uint8] | None:
        """Hearing draws nothing."""
        return None

    def export(self, folder: Path) -> None:
        """Write the weights: their running mean."""
        save_network(
            self._mean.module,
            folder / WEIGHTS_NAME,
            Metadata(
                kind="hearing",
                architecture=self._recipe.network.architecture,
                config=dict(self._recipe.network.options),
                step=self.state.step,
                licence=self._recipe.data.licence,
                training_data=self._recipe.data.description,
            ),
        )


NUMBER_NAMES = ("gap", "width", "height")


def mouth_numbers() -> Tensor:
    """``(A, 3)``: from an articulation to the change of the lips' gap, width, height."""
    place = {point: index for index, point in enumerate(MOTION_POINTS)}
    numbers = torch.zeros(ARTICULATION_LENGTH, len(NUMBER_NAMES))
    (upper, lower), (left, right), (top, bottom), _ = SHAPE_PAIRS
    numbers[2 * place[lower] + 1, 0], numbers[2 * place[upper] + 1, 0] = 1, -1
    numbers[2 * place[right], 1], numbers[2 * place[left], 1] = 1, -1
    numbers[2 * place[bottom] + 1, 2], numbers[2 * place[top] + 1, 2] = 1, -1
    return numbers


def correlations(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's along time.

    Args:
        a: ``(B, N, K)``.
        b: ``(B, N, K)``.

    Returns:
        ``(B, K)``; 0 where one of them does not move.
    """
    a, b = (x - x.mean(dim=1, keepdim=True) for x in (a, b))
    lengths = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
    found: Tensor = (a * b).sum(dim=1) / (lengths + 1e-4)
    return found


def _at_places(answers: Tensor, places: Tensor) -> Tensor:
    """``(B, T, A)`` and ``(B, N)`` -> ``(B, N, A)``."""
    return torch.gather(answers, 1, places[:, :, None].expand(-1, -1, answers.shape[2]))
