"""Whatever stands in a recipe, a split or a table of pairs is read, or refused clearly."""

import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lipwright.corpus.split import SplitRule, load_split, require_disjoint
from lipwright.errors import ConfigError
from lipwright.evaluation.pairs import COLUMNS, read_pairs
from lipwright.training.recipe import ExpertRecipe, GeneratorRecipe, load_recipe, to_record

RECIPES = Path(__file__).parents[2] / "recipes"
SAME_FOLDER = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])

integers = st.integers(-(2**70), 2**70) | st.integers(-2, 300)
scalars = st.one_of(
    st.booleans(), integers, st.floats(), st.text(max_size=8), st.sampled_from(["cosine", "motion"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from(
    [
        *("data", "run", "network", "optimizer", "objective", "windows_per_clip", "temperature"),
        *("expert", "sync", "adversarial", "corpus", "batch_size", "workers", "seed", "steps"),
        *("precision", "learning_rate", "betas", "architecture", "options", "weight", "start"),
        *("ramp", "mouth_factor", "ema_decay", "puppet_share"),
    ]
)
tables = st.dictionaries(
    names | st.text(max_size=6), values | st.dictionaries(names, values, max_size=6), max_size=8
)


def toml(value: object) -> str:
    """A value as TOML writes it in a line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        escaped = "".join(f"\\U{ord(letter):08x}" for letter in value)
        return f'"{escaped}"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value)


def document(table: dict[str, object]) -> str:
    return "\n".join(f"{toml(key)} = {toml(value)}" for key, value in table.items())


def read_or_refuse(path: Path, kind: type) -> object | None:
    try:
        return load_recipe(path, kind)
    except ConfigError as err:
        assert str(err).strip()  # noqa: PT017 - not raising is as good
        return None


@pytest.mark.parametrize("kind", [ExpertRecipe, GeneratorRecipe])
@SAME_FOLDER
@given(table=tables)
def test_any_toml_is_a_recipe_or_a_clear_error(
    tmp_path: Path, kind: type, table: dict[str, object]
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(document(table), encoding="utf-8")
    read_or_refuse(path, kind)


@pytest.mark.parametrize("kind", [ExpertRecipe, GeneratorRecipe])
@SAME_FOLDER
@given(name=names, value=values, inner=st.none() | names)
def test_any_value_in_an_honest_recipe_is_taken_or_refused(
    tmp_path: Path, kind: type, name: str, value: object, inner: str | None
) -> None:
    table: dict[str, object] = {"data": {"corpus": "c"}, "run": {"steps": 5}}
    honest = table.get(name, {}) if inner else {}
    assert isinstance(honest, dict)
    table[name] = value if inner is None else {**honest, inner: value}
    path = tmp_path / "recipe.toml"
    path.write_text(document(table), encoding="utf-8")
    recipe = read_or_refuse(path, kind)
    if recipe is not None:
        to_record(recipe)


@SAME_FOLDER
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_no_recipe_and_no_split(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "bytes.toml"
    path.write_bytes(b"steps = \xff" + raw)
    with pytest.raises(ConfigError, match="cannot read"):
        load_recipe(path, ExpertRecipe)
    with pytest.raises(ConfigError, match="cannot read"):
        load_split(path)


def test_the_recipes_that_ship_are_read_by_this_way_too() -> None:
    assert any(read_or_refuse(path, ExpertRecipe) for path in RECIPES.glob("*.toml"))


@pytest.mark.parametrize("opening", ["x = " + "[" * 5_000, "x = " + "{a=" * 5_000, "x=1\n" * 2])
def test_deeply_nested_toml_is_refused(tmp_path: Path, opening: str) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(opening, encoding="utf-8")
    with pytest.raises(ConfigError):
        load_recipe(path, ExpertRecipe)
    with pytest.raises(ConfigError):
        load_split(path)


clips = st.lists(st.text("ab/*?[]!.", min_size=1, max_size=8), max_size=6)
splits = st.dictionaries(
    st.sampled_from(["train", "val", "test", "one_speaker_per_clip", "default", "other"]),
    clips | values | st.sampled_from(["train", "none"]),
    max_size=5,
)


@SAME_FOLDER
@given(table=splits, asked=clips)
def test_any_split_parts_any_clips_or_is_refused(
    tmp_path: Path, table: dict[str, object], asked: list[str]
) -> None:
    path = tmp_path / "split.toml"
    path.write_text(document(table), encoding="utf-8")
    try:
        rule = load_split(path)
    except ConfigError:
        return
    part(rule, asked)


@SAME_FOLDER
@given(lines=st.lists(st.text(max_size=12), max_size=5), asked=clips)
def test_any_lists_of_clips_are_a_split_or_refused(
    tmp_path: Path, lines: list[str], asked: list[str]
) -> None:
    (tmp_path / "train.txt").write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        rule = load_split(tmp_path)
    except ConfigError:
        return
    part(rule, asked)


def part(rule: SplitRule, asked: list[str]) -> None:
    for clip in asked:
        rule.speaker(clip)
    try:
        require_disjoint(rule, asked)
    except ConfigError as err:
        assert "split" in str(err)  # noqa: PT017 - not raising is as good


cells = st.text(max_size=10) | st.sampled_from(["a.mp4", "b.wav", "nan", "1e400", "-1", "..", "/"])
headers = st.lists(st.sampled_from(COLUMNS), unique=True, max_size=8) | st.lists(cells, max_size=4)


@SAME_FOLDER
@given(header=headers, rows=st.lists(st.lists(cells, max_size=8), max_size=4))
def test_any_table_of_pairs_is_read_or_refused(
    tmp_path: Path, header: list[str], rows: list[list[str]]
) -> None:
    for name in ("a.mp4", "b.wav"):
        (tmp_path / name).touch()
    lines = "\n".join("\t".join(row) for row in [header, *rows])
    path = tmp_path / "pairs.tsv"
    path.write_bytes(lines.encode("utf-8", "surrogatepass"))
    try:
        pairs = read_pairs(path)
    except ConfigError as err:
        assert str(err).strip()  # noqa: PT017 - not raising is as good
        return
    for pair in pairs:
        assert pair.face.is_file()
        assert pair.name == Path(pair.name).name  # names no other folder
        assert pair.at is None or 0 <= pair.at < float("inf")
