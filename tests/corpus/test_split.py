from pathlib import Path
from time import process_time

import pytest

from lipwright.corpus import SplitRule, load_split
from lipwright.corpus.split import require_disjoint
from lipwright.errors import ConfigError

RECIPE = Path(__file__).parents[2] / "recipes" / "open_corpus.split.toml"


def toml(folder: Path, text: str) -> Path:
    path = folder / "split.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_patterns_name_clips_folders_and_globs(tmp_path: Path) -> None:
    rule = load_split(
        toml(tmp_path, 'val = ["s26", "a/b/", "mixed/one"]\ntest = ["s3?/*", "s[45]"]')
    )
    assert rule.split("s26/bbaf2n") == "val"
    assert rule.split("s26/deep/down") == "val"
    assert rule.split("a/b/c") == "val"
    assert rule.split("mixed/one") == "val"
    assert rule.split("s31/x") == "test"
    assert rule.split("s4/x") == "test"
    for other in ("s2/x", "s261/x", "xs26/x", "mixed/one2", "a/bc", "s3/x", "S26/x"):
        assert rule.split(other) == "train"


def test_folder_whose_name_looks_like_a_pattern_is_taken_by_name() -> None:
    rule = SplitRule(patterns={"val": ("[old] tapes", "what?/a*")})
    assert rule.split("[old] tapes/one") == "val"
    assert rule.split("what?/a*") == "val"


@pytest.mark.parametrize(("default", "expected"), [("test", "test"), ("none", None)])
def test_default_takes_the_rest(tmp_path: Path, default: str, expected: str | None) -> None:
    rule = load_split(toml(tmp_path, f'default = "{default}"\nval = ["s1"]'))
    assert rule.split("s2/x") == expected
    assert rule.split("s1/x") == "val"


def test_without_a_rule_folders_called_like_splits_decide() -> None:
    rule = SplitRule()
    assert rule.split("val/anna/a") == "val"
    assert rule.split("set/test/b") == "test"
    assert rule.split("anna/val") == "train"
    assert rule.split("valley/c") == "train"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('vall = ["a"]', "unknown key 'vall'; known: default, one_speaker_per_clip, test, train"),
        ('default = "maybe"', "default must be train, val, test or none, got 'maybe'"),
        ("default = 3", "got 3"),
        ("default = []", r"got \[\]"),
        ('val = "s1"', "val must be a list"),
        ("val = [1]", "val must be a list"),
        ("val = [", "cannot read the split"),
        ("", None),
    ],
)
def test_toml_is_checked_at_the_door(tmp_path: Path, text: str, message: str | None) -> None:
    path = toml(tmp_path, text)
    if message is None:
        assert load_split(path) == SplitRule(patterns={"train": (), "val": (), "test": ()})
        return
    with pytest.raises(ConfigError, match=message) as caught:
        load_split(path)
    assert str(path) in str(caught.value)


def test_missing_and_undecodable_split_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml"):
        load_split(tmp_path / "gone.toml")
    (tmp_path / "latin.toml").write_bytes(b'val = ["caf\xe9"]')
    with pytest.raises(ConfigError, match=r"latin\.toml"):
        load_split(tmp_path / "latin.toml")


def test_released_lists_are_a_split(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("5535415699068794046/00001\n5535415699068794046/00002\n\n")
    (tmp_path / "val.txt").write_text("6330311066473698535/00011 NF\r\n")
    rule = load_split(tmp_path)
    assert rule.split("5535415699068794046/00002") == "train"
    assert rule.split("6330311066473698535/00011") == "val"
    assert rule.split("6330311066473698535/00012") is None
    assert rule.speaker("6330311066473698535/00011") == "6330311066473698535"


def test_folder_without_lists_or_with_damaged_ones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no train\.txt"):
        load_split(tmp_path)
    (tmp_path / "train.txt").write_bytes(b"caf\xe9/1\n")
    with pytest.raises(ConfigError, match=r"cannot read the split .*train\.txt"):
        load_split(tmp_path)


def test_lists_as_long_as_those_of_lrs2_are_applied_in_seconds(tmp_path: Path) -> None:
    clips = [f"{speaker:019d}/{clip:05d}" for speaker in range(2000) for clip in range(20)]
    (tmp_path / "train.txt").write_text("\n".join(clips[:38_000]))
    (tmp_path / "val.txt").write_text("\n".join(clips[38_000:]))
    rule = load_split(tmp_path)
    start = process_time()
    require_disjoint(rule, clips)
    assert process_time() - start < 10  # takes 0.7; compared one by one it took minutes


def test_speaker_in_two_splits_is_refused_by_name() -> None:
    rule = SplitRule(patterns={"val": ("s1/b",)})
    with pytest.raises(ConfigError, match=r"speaker 's1' is in both 'train' and 'val'"):
        require_disjoint(rule, ["s1/a", "s2/a", "s1/b"])
    require_disjoint(rule, ["s1/b", "s2/a"])


def test_clips_left_out_do_not_clash() -> None:
    require_disjoint(SplitRule(patterns={"val": ("s1/b",)}, default=None), ["s1/a", "s1/b"])


def test_clip_on_two_lists_is_refused_by_name() -> None:
    rule = SplitRule(patterns={"train": ("*",), "val": ("s26",)})
    with pytest.raises(ConfigError, match=r"clip 's26/a' in both 'train' and 'val'"):
        require_disjoint(rule, ["s1/a", "s26/a"])


def test_one_speaker_per_clip_makes_each_clip_a_speaker() -> None:
    rule = SplitRule(patterns={"val": ("mixed/b",)}, one_speaker_per_clip=("mixed",))
    assert rule.speaker("mixed/a") == "mixed/a"
    assert rule.speaker("s1/a") == "s1"
    require_disjoint(rule, ["mixed/a", "mixed/b"])


def test_recipe_of_the_open_corpus_holds_out_the_speaker_of_s26_everywhere() -> None:
    rule = load_split(RECIPE)
    assert rule.split("s26/bbaf2n") == "val"
    assert rule.split("mixed/GRID_swiz3n") == "val"
    assert rule.split("mixed/GRID_pwij3p") == rule.split("mixed/GRID_swwp2s") == "train"
    assert rule.split("s1/bbaf2n") == rule.split("s4/lwbsza") == "train"
    clips = [f"mixed/GRID_{name}" for name in ("swiz3n", "brbk7n", "lbax4n", "lwbsza", "pwij3p")]
    require_disjoint(rule, [*clips, "s1/a", "s4/a", "s26/a", "s26/b"])
