"""Each term of the loss on cases with known answers."""

import math

import pytest
import torch

from lipwright.training.losses import (
    adversarial_loss,
    contrastive_loss,
    discriminator_loss,
    flow_loss,
    gradient_penalty,
    hinge_loss,
    in_clip_contrastive_loss,
    mouth_weights,
    reconstruction_loss,
    sharpness,
    sync_loss,
)


def test_sync_loss_is_minus_log_of_the_cosine_for_pairs_in_sync() -> None:
    speech = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    lips = torch.tensor([[0.6, 0.8], [0.6, 0.8]])
    expected = -(math.log(0.6) + math.log(1 - 1e-7)) / 2
    assert sync_loss(speech, lips, torch.ones(2)).item() == pytest.approx(expected, abs=1e-5)
    off = sync_loss(speech[:1], lips[:1], torch.zeros(1)).item()
    assert off == pytest.approx(-math.log(0.4), abs=1e-5)


def test_sync_loss_stays_finite_for_orthogonal_vectors() -> None:
    loss = sync_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.ones(1))
    assert math.isfinite(loss.item())
    assert loss.item() > 10


def test_contrastive_loss_is_log_k_when_all_candidates_are_alike() -> None:
    lips, candidates = torch.ones(3, 4) / 2, torch.ones(3, 7, 4) / 2
    loss = contrastive_loss(lips, candidates, torch.zeros(3, dtype=torch.int64))
    assert loss.item() == pytest.approx(math.log(7), abs=1e-5)


def test_contrastive_loss_falls_as_the_partner_stands_out() -> None:
    candidates = torch.eye(4)[None]
    partner = torch.tensor([2])
    right = contrastive_loss(torch.eye(4)[2:3], candidates, partner)
    wrong = contrastive_loss(torch.eye(4)[1:2], candidates, partner)
    assert right.item() < 1e-4
    assert wrong.item() == pytest.approx(1 / 0.07, abs=0.1)


def test_in_clip_contrastive_loss_never_compares_clips() -> None:
    # Two clips with the same two windows: across clips every window would have a double.
    rows = torch.eye(2).repeat(2, 1)
    assert in_clip_contrastive_loss(rows, rows, windows_per_clip=2).item() < 1e-4
    swapped = rows[[1, 0, 3, 2]]
    assert in_clip_contrastive_loss(rows, swapped, windows_per_clip=2).item() > 10


def test_reconstruction_loss_is_the_papers_mean_when_weights_are_one() -> None:
    drawn, true = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.25)
    assert reconstruction_loss(drawn, true, torch.ones(8, 8)).item() == pytest.approx(0.25)


def test_mouth_weights_have_mean_one_and_peak_at_the_mouth() -> None:
    weights = mouth_weights(96, mouth_row=0.6, factor=4.0)
    assert weights.mean().item() == pytest.approx(1, abs=1e-5)
    row, column = divmod(int(weights.argmax()), 96)
    assert abs(row - 0.65 * 96) < 2
    assert abs(column - 48) < 2
    assert weights.max() / weights.min() == pytest.approx(4, abs=0.1)
    assert torch.equal(mouth_weights(8, mouth_row=0.6, factor=1.0), torch.ones(8, 8))


def test_adversarial_losses_are_log_two_for_an_undecided_judge() -> None:
    coin = torch.full((4, 1), 0.5)
    assert adversarial_loss(coin).item() == pytest.approx(math.log(2), abs=1e-6)
    assert discriminator_loss(coin, coin).item() == pytest.approx(math.log(2), abs=1e-6)
    sure = torch.full((4, 1), 0.99)
    assert discriminator_loss(sure, 1 - sure).item() < 0.02
    assert adversarial_loss(1 - sure).item() > 4


def test_flow_loss_is_zero_where_landmarks_are_moved_right() -> None:
    # A reference in which everything lies four pixels further right and two further down.
    flow = torch.zeros(1, 2, 20, 40)
    flow[:, 0], flow[:, 1] = 4 / 20, 2 / 20
    points = torch.tensor([[[0.4, 0.7], [0.6, 0.9], [0.5, 0.1]]])
    moved = points + torch.tensor([4 / 40, 2 / 40])
    assert flow_loss(flow, points, moved).item() == pytest.approx(0, abs=1e-9)
    # One pixel off in x alone, and the point of the upper half is not counted.
    moved[:, :, 0] += 1 / 40
    moved[:, 2] += 1
    assert flow_loss(flow, points, moved).item() == pytest.approx(0.25, abs=1e-4)


def test_flow_loss_reads_the_flow_where_the_landmark_is() -> None:
    flow = torch.zeros(1, 2, 20, 40)
    flow[:, 1, :10] = 1.0  # only the upper part of the lower half moves
    points = torch.tensor([[[0.5, 0.6]]])
    still = torch.tensor([[[0.5, 0.9]]])
    assert flow_loss(flow, still, still).item() == 0
    assert flow_loss(flow, points, points).item() > 5


def test_hinge_loss_stops_once_the_margin_is_kept() -> None:
    assert hinge_loss(torch.zeros(3), torch.zeros(3)).item() == 2
    assert hinge_loss(torch.full((3,), 1.5), torch.full((3,), -1.5)).item() == 0


def test_gradient_penalty_is_the_squared_slope() -> None:
    true = torch.rand(2, 3, 4, 4, requires_grad=True)
    judged = 0.5 * true.flatten(1).sum(dim=1, keepdim=True)
    assert gradient_penalty(judged, true).item() == pytest.approx(48 * 0.25, rel=1e-5)


def test_sharpness_is_one_for_the_same_and_less_for_a_blur() -> None:
    true = torch.rand(2, 3, 32, 32, generator=torch.manual_seed(0))
    weights = torch.ones(32, 32)
    assert sharpness(true, true, weights).item() == pytest.approx(1)
    blurred = torch.nn.functional.avg_pool2d(true, 3, stride=1, padding=1)
    assert sharpness(blurred, true, weights).item() < 0.5
