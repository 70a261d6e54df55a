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


def flow_loss(flow: Tensor, points: Tensor, reference_points: Tensor) -> Tensor:
    """How far landmarks are moved from where they should be moved.

    Args:
        flow: ``(B, 2, R/2, R)``: from each pixel of the lower half to the place in the reference
            that it shows, x and y in half widths of the picture.
        points: ``(B, P, 2)`` landmarks of the face, as shares of the side; those of the upper half
            are left out.
        reference_points: ``(B, P, 2)`` the same landmarks in the reference.

    Returns:
        A scalar: Huber's loss in pixels.
    """
    half_width = flow.shape[-1] / 2
    places = torch.stack([2 * points[..., 0] - 1, 4 * points[..., 1] - 3], dim=-1)  # (B, P, 2)
    found = functional.grid_sample(
        flow, places[:, :, None], mode="bilinear", padding_mode="border", align_corners=False
    )[..., 0].transpose(1, 2)  # (B, P, 2)
    is_lower = (places.abs() < 1).all(dim=-1, keepdim=True)  # (B, P, 1)
    wanted = 2 * (reference_points - points)
    error = functional.smooth_l1_loss(
        half_width * found, half_width * wanted, beta=1.0, reduction="none"
    )
    return (error * is_lower).sum() / (2 * is_lower.sum()).clamp(min=1)


def hinge_loss(judged_true: Tensor, judged_drawn: Tensor) -> Tensor:
    """How badly a discriminator without a sigmoid tells true pictures from drawn ones.

    Lim and Ye, "Geometric GAN", 2017; the drawing network's term is ``-judged_drawn.mean()``.

    Args:
        judged_true: Its verdicts on true pictures.
        judged_drawn: Its verdicts on drawn pictures.

    Returns:
        A scalar; 2 for one that says 0 to all.
    """
    return functional.relu(1 - judged_true).mean() + functional.relu(1 + judged_drawn).mean()


def gradient_penalty(judged: Tensor, true: Tensor) -> Tensor:
    """R1: the squared slope of the verdict on true pictures.

    Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML 2018.

    Args:
        judged: ``(B, ...)`` verdicts on them.
        true: ``(B, 3, H, W)``, requiring a gradient.

    Returns:
        A scalar.
    """
    (slope,) = torch.autograd.grad(judged.mean(dim=1).sum(), true, create_graph=True)
    return slope.square().flatten(1).sum(dim=1).mean()


def sharpness(drawn: Tensor, true: Tensor, weights: Tensor) -> Tensor:
    """Fine detail that was drawn over that of the true pictures; 1 is right.

    Args:
        drawn: ``(B, 3, H, W)`` in [0, 1].
        true: ``(B, 3, H, W)`` in [0, 1].
        weights: ``(H, W)``: where it counts.

    Returns:
        A scalar: ratio of the mean absolute Laplacians of the lower halves.
    """
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], device=drawn.device)[None, None]
    half = drawn.shape[-2] // 2

    def detail(faces: Tensor) -> Tensor:
        grey = faces.mean(dim=1, keepdim=True)[:, :, half:]
        edges = functional.conv2d(grey, kernel).abs()[:, 0]  # (B, H/2 - 2, W - 2)
        return (edges * weights[half + 1 : -1, 1:-1]).mean()

    return detail(drawn) / detail(true).clamp(min=1e-6)
