"""What the documents promise is there."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "MODEL_CARD.md"])
def test_every_link_leads_somewhere_and_nothing_is_left_to_fill_in(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    assert "@@" not in text
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (REPOSITORY / target).exists(), target


def test_every_room_is_in_the_architecture() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = [path.parent.name for path in (REPOSITORY / "src/lipwright").glob("*/__init__.py")]
    assert len(rooms) >= 11
    for room in rooms:
        assert f"`{room}`" in text
