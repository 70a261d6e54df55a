"""From what was seen and heard to scores: the metrics, of the drawn video and of each baseline."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lipwright.corpus.offset import MAX_SHIFT
from lipwright.evaluation.baselines import other, shifted, static
from lipwright.evaluation.expert import (
    OFFSET_TOLERANCE,
    PAIRS_PER_CLIP,
    pair_accuracy,
    pair_cosines,
)
from lipwright.evaluation.frechet import frechet_distance, moments
from lipwright.evaluation.measure import Measured
from lipwright.evaluation.motion import jitter, leak, lip_distance
from lipwright.evaluation.mouth import compare_motion
from lipwright.evaluation.results import ClipResult, Metric, Version
from lipwright.evaluation.sync import Beyond, sync_score
from lipwright.faces.points import shape_of_mouth

_ALL: tuple[Version, ...] = ("static", "shifted", "other")
# The best shift makes up for what is late, and what its end frames filled up is left out with it.
_NOT_LATE: tuple[Version, ...] = ("static", "other")
_OPENING, _WIDTH = 0, 1  # of the mouth's shape

METRICS = (
    Metric(
        name="opening_correlation",
        title="Mouth opening, correlation",
        better="higher",
        orders=_ALL,
        definition="Pearson's correlation of the gap between the inner lips, frame by frame, with "
        "that of the true video. No trained judge but the landmarks.",
    ),
    Metric(
        name="opening_amplitude",
        title="Mouth opening, amplitude",
        better="near one",
        orders=("static",),
        mean="median",
        digits=2,
        definition="Standard deviation of the gap between the inner lips over that of the true "
        "video.",
    ),
    Metric(
        name="lag_within_1",
        title="Lag within one frame",
        better="higher",
        orders=("static", "shifted"),
        digits=2,
        definition="Share of clips whose opening correlates best with the true one when moved by "
        "at most one frame of 40 ms, of at most five; a mouth that does not move has no lag.",
    ),
    Metric(
        name="width_correlation",
        title="Mouth width, correlation",
        better="higher",
        orders=_ALL,
        definition="The same for the distance of the corners of the mouth.",
    ),
    Metric(
        name="lip_distance",
        title="Lip landmark distance (LMD)",
        better="lower",
        orders=("static", "shifted"),
        digits=4,
        definition="Mean distance of lip landmarks after alignment by eyes and nose, over that of "
        "the eye corners (Chen et al. 2018).",
    ),
    Metric(
        name="jitter_ratio",
        title="Jitter outside the mouth",
        better="lower",
        digits=2,
        definition="Mean second difference in time of the landmarks of eyes and nose, over that of "
        "the true video.",
    ),
    Metric(
        name="silence_leak",
        title="Motion in silence",
        better="lower",
        digits=2,
        definition="Mean change of the opening in silence (20 dB below full voice, 0.2 s or more, "
        "the first 0.12 s left out), over that in speech.",
    ),
    Metric(
        name="expert_lse_d",
        title="LSE-D, own expert",
        better="lower",
        orders=_NOT_LATE,
        definition="Distance of lips and speech at the best of 31 shifts, by Lipwright's expert "
        "(unit embeddings: not comparable with published numbers; windows beyond the clip are left "
        "out). After Chung and Zisserman 2016.",
    ),
    Metric(
        name="expert_lse_c",
        title="LSE-C, own expert",
        better="higher",
        orders=_NOT_LATE,
        definition="Median distance over the shifts less that at the best one.",
    ),
    Metric(
        name="expert_offset_within_1",
        title="Offset within one frame, own expert",
        better="higher",
        orders=_ALL,
        digits=2,
        definition="Share of clips whose best shift is at most one frame.",
    ),
    Metric(
        name="syncnet_lse_d",
        title="LSE-D, SyncNet v2",
        better="lower",
        orders=_ALL,
        definition="As published (SyncNet v2, shifts of 15 frames, zeros beyond the clip), but of "
        "Lipwright's crop.",
    ),
    Metric(
        name="syncnet_lse_c",
        title="LSE-C, SyncNet v2",
        better="higher",
        orders=_ALL,
        definition="As published, of Lipwright's crop.",
    ),
    Metric(
        name="psnr",
        title="PSNR (dB)",
        better="higher",
        digits=1,
        definition="Of the crop rule's square at 160 px, every third frame; equal frames left out.",
    ),
    Metric(
        name="ssim",
        title="SSIM",
        better="higher",
        orders=("static", "shifted"),
        definition="Of the same pictures (Wang et al. 2004, by scikit-image).",
    ),
    Metric(
        name="mouth_l1",
        title="L1 on the mouth region",
        better="lower",
        orders=("static", "shifted"),
        digits=4,
        definition="Mean absolute difference in [0, 1], weighted by the mask of sync.",
    ),
    Metric(
        name="sharpness_ratio",
        title="Sharpness of the mouth region",
        better="near one",
        digits=2,
        definition="Variance of the Laplacian in the mask over that of the true video (Pertuz et "
        "al. 2013).",
    ),
    Metric(
        name="seam_excess",
        title="Seam (CIE dE)",
        better="lower",
        digits=2,
        definition="CIEDE2000 between rings inside and outside the edge of the mask, sector by "
        "sector, less the same of the picture before anything was drawn.",
    ),
    Metric(
        name="lpips",
        title="LPIPS",
        better="lower",
        orders=("static", "shifted"),
        definition="Zhang et al. 2018, by the network that was supplied.",
    ),
    Metric(
        name="identity",
        title="Identity similarity",
        better="higher",
        definition="Cosine of face embeddings of drawn and true frames, by the network that was "
        "supplied.",
    ),
)
_BY_NAME = {metric.name: metric for metric in METRICS}

SET_METRICS = (
    Metric(
        name="frechet_lips_drawn",
        title="Frechet distance of the lips, drawn",
        better="lower",
        definition="Of the own expert's embeddings of drawn and true lips (Heusel et al. 2017).",
    ),
    Metric(
        name="frechet_lips_static",
        title="Frechet distance of the lips, static",
        better="lower",
        definition="The same of the static baseline.",
    ),
    Metric(
        name="fid_drawn",
        title="FID",
        better="lower",
        digits=1,
        definition="The same of the features of the network that was supplied.",
    ),
    Metric(
        name="expert_pair_accuracy",
        title="Own expert: pairs told right",
        better="higher",
        definition="True speech from that of another time of the clip (Prajwal et al. 2020).",
    ),
    Metric(
        name="expert_forced_choice",
        title="Own expert: the nearer of two is the true one",
        better="higher",
        definition="Share of lips that are nearer to their own speech than to that other one.",
    ),
    Metric(
        name="expert_offset_within_1",
        title="Own expert: true videos without offset",
        better="higher",
        definition="Share of true videos whose best shift is at most one frame.",
    ),
)


def clip_result(measured: Measured, another: Measured | None, *, sheet: str) -> ClipResult:
    """Score one pair.

    Args:
        measured: What was seen and heard of it.
        another: Of another pair, for the baseline that says something else.
        sheet: File name of its contact sheet.

    Returns:
        Its scores.
    """
    scores: dict[Version, dict[str, float]] = {}
    for version in ("drawn", "true", "static", "shifted", "other"):
        found = _motion(measured, another, version)
        for judge, beyond in (("expert", "left out"), ("syncnet", "zeros")):
            found |= _sync(measured, another, version, judge=judge, beyond=beyond)  # type: ignore[arg-type]
        found |= measured.pictures.get(version, {})
        if found:
            scores[version] = {
                name: found[name] for name in _BY_NAME if name in found and np.isfinite(found[name])
            }
    return ClipResult(
        name=measured.name,
        group=measured.group,
        num_frames=len(measured.arrays["drawn_points"]),
        scores=scores,
        curves={
            name: tuple(np.round(shape_of_mouth(measured.arrays[key])[:, _OPENING], 5).tolist())
            for name, key in (("true", "base_points"), ("drawn", "drawn_points"))
            if key in measured.arrays
        },
        sheet=sheet,
        seconds=measured.seconds,
    )


def _points(
    measured: Measured, another: Measured | None, version: Version
) -> NDArray[np.float32] | None:
    """Landmarks of a version; None if it cannot be made."""
    if version == "drawn":
        return measured.arrays["drawn_points"]
    base = measured.arrays.get("base_points")
    if base is None or version == "true":
        return base
    if version == "shifted":
        return base[shifted(len(base))]
    if version == "static":
        return base[static(shape_of_mouth(base)[:, _OPENING].astype(np.float64))]
    others = None if another is None else another.arrays.get("base_points")
    return None if others is None else others[other(len(base), len(others))]


def _motion(measured: Measured, another: Measured | None, version: Version) -> dict[str, float]:
    points, base = _points(measured, another, version), measured.arrays.get("base_points")
    if points is None:
        return {}
    shapes = shape_of_mouth(points).astype(np.float64)
    found = {"silence_leak": leak(shapes[:, _OPENING], measured.arrays["is_silent"] > 0)}
    if base is None:
        return found
    target = shape_of_mouth(base).astype(np.float64)
    opening = compare_motion(target[:, _OPENING], shapes[:, _OPENING])
    width = compare_motion(target[:, _WIDTH], shapes[:, _WIDTH])
    found |= {
        "opening_correlation": opening.correlation,
        "opening_amplitude": opening.amplitude,
        "lag_within_1": float(abs(opening.lag_frames) <= 1 and opening.amplitude > 0),
        "width_correlation": width.correlation,
    }
    if measured.is_same_person and version != "other":
        found["lip_distance"] = lip_distance(points, base)
    if version == "drawn" and measured.is_same_person and (still := jitter(base)) > 0:
        found["jitter_ratio"] = jitter(points) / still
    return found


def _sync(
    measured: Measured,
    another: Measured | None,
    version: Version,
    *,
    judge: str,
    beyond: Beyond,
) -> dict[str, float]:
    prefix = "" if judge == "expert" else f"{judge}_"
    speech = measured.arrays.get(f"{prefix}speech")
    lips = _lips(measured, another, version, prefix=prefix)
    if speech is None or lips is None:
        return {}
    score = sync_score(speech, lips, beyond=beyond)
    found = {f"{judge}_lse_d": score.distance, f"{judge}_lse_c": score.confidence}
    if judge == "expert":
        is_near = abs(score.offset_frames) <= OFFSET_TOLERANCE
        # Where all shifts are alike there is no offset.
        found["expert_offset_within_1"] = float(is_near and version != "static")
    return found


def _lips(
    measured: Measured, another: Measured | None, version: Version, *, prefix: str
) -> NDArray[np.float32] | None:
    """Embeddings of the lips of a version; None if it cannot be made."""
    if version == "drawn":
        return measured.arrays.get(f"{prefix}drawn_lips")
    base = measured.arrays.get(f"{prefix}base_lips")
    if base is None or version == "true":
        return base
    if version == "shifted":
        return base[shifted(len(base))]
    if version == "static":
        return np.repeat(measured.arrays[f"{prefix}static_lips"][:1], len(base), axis=0)
    others = None if another is None else another.arrays.get(f"{prefix}base_lips")
    return None if others is None else others[other(len(base), len(others))]


def set_scores(measured: Sequence[Measured], rng: np.random.Generator) -> dict[str, float]:
    """Metrics of all pairs together.

    Args:
        measured: What was seen and heard.
        rng: Chooses the pairs of the expert's accuracy.

    Returns:
        Where the pairs have a base: ``frechet_lips_drawn`` and ``frechet_lips_static``, the Frechet
        distance of the expert's embedding of lips to that of the bases;
        ``fid_drawn``, where the bases show the same persons, the same of the features of the
        network that was supplied;
        ``expert_pair_accuracy`` and ``expert_forced_choice``, how well the expert tells true speech
        from that of another time of the clip (Prajwal et al. 2020, section 3.1); and
        ``expert_offset_within_1``, for how many bases it finds no offset.
    """
    having = [m for m in measured if "base_lips" in m.arrays]
    if not having:
        return {}

    def together(name: str, rows: Sequence[Measured] = having) -> NDArray[np.float32]:
        return np.concatenate([m.arrays[name] for m in rows])

    true = moments(together("base_lips"))
    found = {
        "frechet_lips_drawn": frechet_distance(moments(together("drawn_lips")), true),
        "frechet_lips_static": frechet_distance(
            moments(np.concatenate([_lips(m, None, "static", prefix="") for m in having])), true
        ),
    }
    same = [m for m in having if m.is_same_person and "features_base" in m.arrays]
    if same:
        features = (moments(together(f"features_{name}", same)) for name in ("drawn", "base"))
        found["fid_drawn"] = frechet_distance(*features)
    cosines = [
        pair_cosines(m.arrays["speech"], m.arrays["base_lips"], num_pairs=PAIRS_PER_CLIP, rng=rng)
        for m in having
    ]
    own, others = (np.concatenate(column) for column in zip(*cosines, strict=True))
    accuracy = pair_accuracy(own, others)
    offsets = [
        sync_score(
            m.arrays["speech"],
            m.arrays["base_lips"],
            max_shift=min(MAX_SHIFT, len(m.arrays["speech"]) - 1),
            beyond="left out",
        ).offset_frames
        for m in having
    ]
    return found | {
        "expert_pair_accuracy": accuracy.accuracy,
        "expert_forced_choice": accuracy.forced_choice,
        "expert_offset_within_1": float(np.mean(np.abs(offsets) <= OFFSET_TOLERANCE)),
    }
