"""The terms that are minimised: functions of tensors that give a scalar; weights come later.

Prajwal et al. 2020, sections 3.2 to 3.4.
"""

import torch
from torch import Tensor
from torch.nn import functional


def sync_loss(speech: Tensor, lips: Tensor, in_sync: Tensor) -> Tensor:
    """Cross-entropy of the cosine read as the probability of being in sync (the paper's).

    Args:
        speech: ``(B, E)`` of unit length, not negative.
        lips: ``(B, E)`` of unit length, not negative.
        in_sync: ``(B,)`` 1 where the two belong together, else 0.

    Returns:
        A scalar, in nats.
    """
    probability = (speech * lips).sum(dim=1).clamp(1e-7, 1 - 1e-7)  # (B,)
    return functional.binary_cross_entropy(probability, in_sync)


def contrastive_loss(
    lips: Tensor, candidates: Tensor, partner: Tensor, *, temperature: float = 0.07
) -> Tensor:
    """Cross-entropy of finding the speech that some lips say among several candidates.

    van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018. The
    candidates should come from the clip of the lips: speech of another clip is told apart by
    voice and room, which teaches nothing about sync.

    Args:
        lips: ``(B, E)`` of unit length.
        candidates: ``(B, K, E)`` of unit length: speech, for each of the lips.
        partner: ``(B,)`` int64: which candidate belongs to the lips.
        temperature: What the cosines are divided by.

    Returns:
        A scalar, in nats; log K by chance.
    """
    cosines = torch.einsum("be,bke->bk", lips, candidates)  # (B, K)
    return functional.cross_entropy(cosines / temperature, partner)


def in_clip_contrastive_loss(
    speech: Tensor, lips: Tensor, *, windows_per_clip: int, temperature: float = 0.07
) -> Tensor:
    """Contrastive loss in both directions between the windows of each clip.

    Args:
        speech: ``(B, E)`` of unit length; rows of one clip follow each other.
        lips: ``(B, E)`` of unit length; row i belongs to row i of speech.
        windows_per_clip: Rows of each clip; divides B.
        temperature: What the cosines are divided by.

    Returns:
        A scalar, in nats; log ``windows_per_clip`` by chance.
    """
    partner = torch.arange(len(lips), device=lips.device) % windows_per_clip  # (B,)

    def of_clip(rows: Tensor) -> Tensor:  # (B, E) -> (B, windows_per_clip, E)
        clips: Tensor = rows.unflatten(0, (-1, windows_per_clip))
        return clips.repeat_interleave(windows_per_clip, dim=0)

    find_speech = contrastive_loss(lips, of_clip(speech), partner, temperature=temperature)
    find_lips = contrastive_loss(speech, of_clip(lips), partner, temperature=temperature)
    return (find_speech + find_lips) / 2


def reconstruction_loss(drawn: Tensor, true: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean absolute difference.

    Args:
        drawn: ``(B, 3, H, W)`` in [0, 1].
        true: ``(B, 3, H, W)`` in [0, 1].
        weights: ``(H, W)`` with mean 1; all ones for the paper's loss.

    Returns:
        A scalar in [0, 1].
    """
    return ((drawn - true).abs() * weights).mean()


def adversarial_loss(judged: Tensor) -> Tensor:
    """How far the discriminator is from taking what was drawn for real.

    The form that does not saturate, ``-log D``, as the released code has it.

    Args:
        judged: Verdicts of the discriminator on drawn faces, in [0, 1].

    Returns:
        A scalar, in nats.
    """
    return functional.binary_cross_entropy(judged, torch.ones_like(judged))


def discriminator_loss(judged_true: Tensor, judged_drawn: Tensor) -> Tensor:
    """How badly the discriminator tells true faces from drawn ones.

    Args:
        judged_true: Its verdicts on true faces, in [0, 1].
        judged_drawn: Its verdicts on drawn faces, in [0, 1].

    Returns:
        A scalar, in nats: the mean of both cross-entropies; log 2 for a coin.
    """
    true = functional.binary_cross_entropy(judged_true, torch.ones_like(judged_true))
    drawn = functional.binary_cross_entropy(judged_drawn, torch.zeros_like(judged_drawn))
    return (true + drawn) / 2


def mouth_weights(size: int, *, mouth_row: float, factor: float) -> Tensor:
    """Weights of the picture's pixels that stress the mouth.

    Args:
        size: Height and width in pixels.
        mouth_row: Height of the mouth's middle as a share of the picture.
        factor: Weight of the mouth's middle over that of the far corners; 1 for no stress.

    Returns:
        ``(size, size)`` with mean 1.
    """
    steps = (torch.arange(size) + 0.5) / size
    across = ((steps - 0.5) / 0.2) ** 2
    # The mouth opens downward: the hill reaches further below its middle than above.
    below = steps - (mouth_row + 0.05)
    down = (below / torch.where(below > 0, 0.2, 0.12)) ** 2
    weights = 1 + (factor - 1) * torch.exp(-0.5 * (across[None, :] + down[:, None]))
    return weights / weights.mean()
