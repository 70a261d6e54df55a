"""Where lips and jaw go, and what the rest of the face does about it: geometry without weights.

A face's landmarks move as an articulation says; everything between them follows, nearer ones more
(inverse distance weighting, Shepard 1968), and nose and border stay where they are.
"""

import torch
from torch import Tensor, nn

from lipwright.faces.motion import MOTION_POINTS, MOTION_SCALE
from lipwright.faces.points import EYE_CORNERS, GROUPS

_SOFTNESS = 0.02  # of the picture's side: how near a landmark counts as being on it
_PAIR_REACH = 0.02  # likewise: how far to the sides a pair of lips' points is heard
_LEAST_GAP = 0.004  # likewise: half the height of a mouth that counts as closed
_BORDER_STEPS = 9
_INNER = GROUPS["inner_lips"]
_LOWER_INNER, _UPPER_INNER = _INNER[1:10], _INNER[:10:-1]  # below and above each other


class Warp(nn.Module):
    """From landmarks and their motion to a field over the lower half of a picture."""

    grid: Tensor
    border: Tensor

    def __init__(self, columns: int) -> None:
        """Lay out the field.

        Args:
            columns: Cells across the picture; the lower half has half as many rows.
        """
        super().__init__()
        self.columns = columns
        places = (torch.arange(columns) + 0.5) / columns
        down, across = torch.meshgrid(places[columns // 2 :], places, indexing="ij")
        grid = torch.stack([across, down], dim=-1).flatten(0, 1)
        self.register_buffer("grid", grid, persistent=False)  # (cells, 2)
        steps = torch.linspace(0, 1, _BORDER_STEPS)
        rows = [torch.stack([steps, torch.full_like(steps, y)], dim=1) for y in (0.46, 1.02)]
        sides = [torch.tensor([[x, y]]) for x in (0.0, 1.0) for y in (0.6, 0.75, 0.9)]
        self.register_buffer("border", torch.cat([*rows, *sides]), persistent=False)

    def forward(self, points: Tensor, articulation: Tensor) -> tuple[Tensor, Tensor]:
        """Move a face.

        Args:
            points: ``(B, P, 2)`` landmarks of ``faces.points`` of a face at rest, as shares of the
                picture's side.
            articulation: ``(B, A)``, see ``faces.motion.articulation``.

        Returns:
            ``(B, 2, C/2, C)``: from each cell of the moved face to the place in the given one that
            it shows, as shares of the side; and ``(B, 1, C/2, C)`` in [0, 1]: 1 between lips that
            are apart.
        """
        motion = _in_picture(points, articulation)  # (B, M, 2)
        moved = points[:, list(MOTION_POINTS)] + motion
        still = torch.cat(
            [points[:, list(GROUPS["nose"])], self.border.expand(points.shape[0], -1, -1)], dim=1
        )
        aims = torch.cat([moved, still], dim=1)  # (B, K, 2)
        back = torch.cat([-motion, torch.zeros_like(still)], dim=1)
        # |g - a|^2 as a product, which is faster than a difference for each pair.
        distance = (
            self.grid.square().sum(dim=1)[None, :, None]
            + aims.square().sum(dim=2)[:, None]
            - 2 * torch.matmul(self.grid, aims.transpose(1, 2))
        )  # (B, cells, K)
        weights = (distance.clamp(min=0) + _SOFTNESS**2).pow(-2)
        field = torch.matmul(weights, back) / weights.sum(dim=2, keepdim=True)  # (B, cells, 2)
        shape = (self.columns // 2, self.columns)
        flow = field.transpose(1, 2).unflatten(2, shape)  # (B, 2, C/2, C)
        return flow, self._openness(moved).unflatten(1, shape)[:, None]

    def _openness(self, moved: Tensor) -> Tensor:
        """``(B, M, 2)`` moved lips -> ``(B, cells)``."""
        place = {point: index for index, point in enumerate(MOTION_POINTS)}
        upper, lower = (
            moved[:, [place[point] for point in points]] for points in (_UPPER_INNER, _LOWER_INNER)
        )  # (B, 9, 2)
        middle = (upper + lower) / 2
        half_gap = ((lower - upper)[..., 1] / 2).clamp(min=0) + _LEAST_GAP  # (B, 9)
        across = (self.grid[None, :, None, 0] - middle[:, None, :, 0]) / _PAIR_REACH
        down = (self.grid[None, :, None, 1] - middle[:, None, :, 1]) / half_gap[:, None]
        near = torch.exp(-(across.square() + down.square()))  # (B, cells, 9)
        is_open = (half_gap / _LEAST_GAP - 1).clamp(0, 1)
        return (near * is_open[:, None]).sum(dim=2).clamp(max=1)


def _in_picture(points: Tensor, articulation: Tensor) -> Tensor:
    """An upright articulation in units of the eyes' distance, as shares of the picture's side."""
    left, right = EYE_CORNERS
    eyes = points[:, right] - points[:, left]  # (B, 2)
    x, y = (articulation / MOTION_SCALE).unflatten(1, (-1, 2)).unbind(dim=2)  # (B, M) each
    cosine, sine = eyes[:, :1], eyes[:, 1:]
    return torch.stack([x * cosine - y * sine, x * sine + y * cosine], dim=2)
