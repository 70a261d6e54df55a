"""What may be said of whom to follow, and what is refused with the way out."""

import pytest

from lipwright.errors import ConfigError
from lipwright.faces.choose import PersonAt, PersonNear, PersonSpeaking, parse_choice


def test_positions_and_persons_are_read() -> None:
    assert [parse_choice(t) for t in ("largest", "rightmost")] == ["largest", "rightmost"]
    assert parse_choice("index:1") == PersonAt(1)
    assert parse_choice("index:12") == PersonAt(12)
    assert parse_choice("point:320,180.5") == PersonNear(320.0, 180.5)
    assert parse_choice("speaking") == PersonSpeaking()


@pytest.mark.parametrize("text", ["central", "index:3", "point:320,180.5", "speaking"])
def test_a_choice_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_choice(text)) == text


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("prettiest", "unknown face choice 'prettiest'; one of: largest, .*index:N, point:X,Y"),
        ("", "unknown face choice ''"),
        ("largest:1", "unknown face choice 'largest:1'"),
        ("index:0", "'index:0': persons are counted from 1"),
        ("index:", "counted from 1"),
        ("index:two", "counted from 1"),
        ("index:-1", "counted from 1"),
        ("index:1.5", "counted from 1"),
        ("point:10", "'point:10': a point is two numbers; as in point:320,180"),
        ("point:1,2,3", "two numbers"),
        ("point:a,b", "two numbers"),
        ("point:nan,1", "in pixels of the picture"),
        ("speaking:1", "unknown face choice"),
    ],
)
def test_what_means_nothing_is_refused_with_the_way_out(text: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        parse_choice(text)
