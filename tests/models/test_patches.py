"""The patch discriminator: shapes, scales, refusals."""

import pytest
import torch

from lipwright.errors import ConfigError
from lipwright.models.build import build_network
from lipwright.models.patches import PatchDiscriminator, PatchDiscriminatorConfig


@torch.no_grad()
def test_it_judges_patches_at_two_scales() -> None:
    judge = PatchDiscriminator(PatchDiscriminatorConfig(resolution=96, width=4))
    judged = judge(torch.rand(2, 3, 48, 96))
    assert judged.shape == (2, 6 * 12 + 3 * 6)


@torch.no_grad()
def test_a_patch_is_judged_by_what_is_near_it() -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator(PatchDiscriminatorConfig(resolution=96, width=4))
    face = torch.rand(1, 3, 48, 96)
    changed = face.clone()
    changed[:, :, :12, :12] = 0
    before, after = (judge(x)[0, : 6 * 12].reshape(6, 12) for x in (face, changed))
    change = (before - after).abs()  # the norm lets every patch notice a little
    assert float(change[:2, :2].mean()) > 5 * float(change[:, 8:].mean())


@torch.no_grad()
def test_it_is_shown_the_detail_that_a_blur_takes_away() -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator(PatchDiscriminatorConfig(resolution=96, width=4))
    for scale in judge.scales:
        scale.layers[0].weight[:, :3] = 0  # blind to colours
    face = torch.rand(1, 3, 48, 96)
    flat, other_flat = torch.full_like(face, 0.2), torch.full_like(face, 0.9)
    torch.testing.assert_close(judge(flat), judge(other_flat), rtol=0, atol=1e-4)
    assert not torch.allclose(judge(face), judge(flat))


def test_an_impossible_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 32 from 96 on, got 100"):
        build_network("discriminator", "patches", {"resolution": 100})
