"""How far two sets of pictures are from each other, by the distribution of their features.

Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
NeurIPS 2017, after Dowson and Landau, J. Multivariate Analysis 12 (1982): the Frechet distance of
two Gaussians, |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipwright.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureMoments:
    """Mean and covariance of features, which is all that the distance needs."""

    mean: NDArray[np.float64]
    """``(E,)``."""
    covariance: NDArray[np.float64]
    """``(E, E)``."""
    count: int
    """Samples."""


def moments(features: NDArray[np.floating]) -> FeatureMoments:
    """Mean and covariance of a set.

    Args:
        features: ``(N, E)``, at least two rows.

    Raises:
        ConfigError: If there are fewer, or one is not finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise ConfigError(f"features must be (N, E) with at least two rows, got {features.shape}")
    if not np.isfinite(features).all():
        raise ConfigError("features hold NaN or infinite values")
    rows = features.astype(np.float64)
    return FeatureMoments(
        mean=rows.mean(axis=0),
        covariance=np.cov(rows, rowvar=False).reshape(rows.shape[1], rows.shape[1]),
        count=len(rows),
    )


def frechet_distance(a: FeatureMoments, b: FeatureMoments) -> float:
    """Frechet distance of two sets of features.

    With few samples it is too large, and the more so the longer the features: compare only numbers
    of sets of one size, and tell the number (``count``) with the distance. The trace of the root is
    computed from the eigenvalues of the symmetric A^(1/2) B A^(1/2), which are those of A B, so
    that nothing imaginary comes of rounding.

    Args:
        a: One set.
        b: The other.

    Returns:
        0 for equal distributions; in squared units of the features.

    Raises:
        ConfigError: If the features differ in length.
    """
    _require_one_length(a, b)
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    product = np.linalg.eigvalsh(root @ b.covariance @ root)
    traces = np.trace(a.covariance) + np.trace(b.covariance)
    distance = (
        np.sum((a.mean - b.mean) ** 2) + traces - 2 * np.sqrt(np.clip(product, 0, None)).sum()
    )
    return float(max(distance, 0.0))


def _require_one_length(a: FeatureMoments, b: FeatureMoments) -> None:
    if a.mean.shape != b.mean.shape:
        raise ConfigError(f"features differ in length: {a.mean.size} and {b.mean.size}")
