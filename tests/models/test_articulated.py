"""The generator in two parts: what it hears, what it draws, and that the two fit."""

import pytest
import torch

from lipwright.errors import ConfigError
from lipwright.faces.motion import MOTION_LENGTH
from lipwright.models.articulated import (
    ARTICULATION_LENGTH,
    ArticulatedConfig,
    ArticulatedGenerator,
    Drawing,
    DrawingConfig,
    Hearing,
    HearingConfig,
)
from lipwright.models.build import build_network

SMALL = DrawingConfig(resolution=96, width=4, fine=4, code=8)


def faces(batch: int, resolution: int) -> torch.Tensor:
    pictures = torch.rand(batch, 6, resolution, resolution, generator=torch.manual_seed(3))
    pictures[:, :3, resolution // 2 :] = 0
    return pictures


def stirred(drawing: Drawing) -> Drawing:
    """With last layers that do something, as after training."""
    for layer in (drawing.flow, drawing.output):
        torch.nn.init.normal_(layer.weight, std=0.05)
    return drawing


def test_an_articulation_is_the_motion_of_lips_and_jaw() -> None:
    assert ARTICULATION_LENGTH == MOTION_LENGTH


@torch.no_grad()
def test_many_moments_in_a_row_are_heard_as_one_by_one() -> None:
    torch.manual_seed(0)
    hearing = Hearing(HearingConfig(columns=41, hearing_width=8)).eval()
    mel = torch.rand(2, 1, 80, 50) * 8 - 4
    together = hearing(mel)
    assert together.shape == (2, 10, ARTICULATION_LENGTH)
    for place in range(10):
        alone = hearing(mel[..., place : place + 41])
        assert alone.shape == (2, 1, ARTICULATION_LENGTH)
        torch.testing.assert_close(alone[:, 0], together[:, place], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_no_convolution_of_a_window_sees_or_makes_a_narrow_map() -> None:
    """oneDNN's bf16 convolutions read memory that is not theirs on very narrow maps."""
    hearing = Hearing(HearingConfig()).eval()
    widths = []

    def note(_module: object, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        widths.extend([inputs[0].shape[-1], output.shape[-1]])

    for module in hearing.modules():
        if isinstance(module, torch.nn.Conv1d | torch.nn.Conv2d):
            module.register_forward_hook(note)
    hearing(torch.zeros(1, 1, 80, 65))
    assert len(widths) > 20
    assert min(widths) >= 16


@torch.no_grad()
def test_the_first_thing_drawn_is_the_reference_under_the_targets_upper_half() -> None:
    drawing = Drawing(SMALL).eval()
    given = faces(2, 96)
    drawn, flow = drawing.with_flow(torch.zeros(2, ARTICULATION_LENGTH), given)
    assert flow.shape == (2, 2, 48, 96)
    assert float(flow.abs().max()) < 1e-3  # a mouth at rest stays
    torch.testing.assert_close(drawn[:, :, :48], given[:, :3, :48])
    torch.testing.assert_close(drawn[:, :, 48:], given[:, 3:, 48:], atol=0.05, rtol=0)


@torch.no_grad()
def test_pixels_are_taken_from_where_the_flow_points() -> None:
    drawing = Drawing(SMALL).eval()
    torch.nn.init.constant_(drawing.flow.bias, 5)  # pixels right and down
    given = faces(1, 96)
    drawn = drawing(torch.zeros(1, ARTICULATION_LENGTH), given)
    expected = given[:, 3:, 48 + 5 : 96, 5:]
    torch.testing.assert_close(drawn[:, :, 48:91, :91], expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_articulation_changes_the_lower_half_only() -> None:
    torch.manual_seed(1)
    drawing = stirred(Drawing(SMALL)).eval()
    given = faces(1, 96)
    still, moved = (
        drawing(torch.full((1, ARTICULATION_LENGTH), value), given) for value in (0.0, 3.0)
    )
    assert torch.equal(still[:, :, :48], moved[:, :, :48])
    assert (still[:, :, 48:] - moved[:, :, 48:]).abs().max() > 1e-3
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1


@torch.no_grad()
def test_the_whole_draws_what_its_parts_draw() -> None:
    torch.manual_seed(2)
    config = ArticulatedConfig(
        resolution=96, width=4, fine=4, code=8, landmark_width=2, columns=41, hearing_width=8
    )
    generator = ArticulatedGenerator(config).eval()
    stirred(generator.drawing)
    mel, given = torch.rand(3, 1, 80, 41) * 8 - 4, faces(3, 96)
    heard = generator.hearing(mel)[:, 0]
    torch.testing.assert_close(generator(mel, given), generator.drawing(heard, given))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": 34}, "columns must be above 34, got 34"),
        ({"hearing_width": 0}, "hearing_width must be at least 1, got 0"),
    ],
)
def test_an_impossible_hearing_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network("hearing", "articulated", options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 64}, "resolution must be from 96 to 384, got 64"),
        ({"resolution": 100}, "multiple of 8 x patch = 32, got 100"),
        ({"patch": 3}, "patch must be an even number"),
        ({"fine": 0}, "must be at least 1"),
    ],
)
def test_an_impossible_drawing_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_network("drawing", "articulated", options)


@torch.no_grad()
def test_no_pixel_turns_colder_than_the_one_that_was_moved_there() -> None:
    torch.manual_seed(4)
    drawing = Drawing(SMALL).eval()
    given = faces(1, 96)
    given[:, 3:] = torch.tensor([0.6, 0.5, 0.4])[None, :, None, None]  # skin
    torch.nn.init.constant_(drawing.output.bias[:4], -5)  # red goes down by half
    drawn = drawing(torch.zeros(1, ARTICULATION_LENGTH), given)[:, :, 48:]
    assert float((drawn[:, 1] - drawn[:, 0]).max()) <= 1e-5
    assert float((drawn[:, 2] - drawn[:, 0]).max()) <= 1e-5
    assert float(drawn[:, 0].max()) < 0.55
