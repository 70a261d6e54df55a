from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clip_makers import talking
from mesh_makers import in_crop, mesh_face
from safetensors.numpy import save_file

from lipwright.corpus import PackReader
from lipwright.corpus.pack import PackedClip, encode_crop, write_pack
from lipwright.errors import CorpusError
from lipwright.faces import mouth_shape


@pytest.fixture
def clip() -> PackedClip:
    rng = np.random.default_rng(0)
    return PackedClip(
        jpegs=tuple(encode_crop(picture) for picture in talking(6, side=160)),
        mel=rng.uniform(-4, 4, (80, 20)).astype(np.float32),
        boxes=rng.uniform(0, 100, (6, 4)).astype(np.float32),
        speaker="žofie",
        source="žofie/a clip",
    )


def test_pack_gives_back_what_was_packed(clip: PackedClip, tmp_path: Path) -> None:
    path = tmp_path / "žofie" / "a clip.safetensors"
    write_pack(clip, path)
    reader = PackReader(path)
    assert reader.num_frames == 6
    assert reader.speaker == "žofie"
    np.testing.assert_array_equal(reader.mel, clip.mel)
    for index in (5, 0, 3):
        frame, packed = reader.frame(index), talking(6, side=160)[index]
        assert frame.shape == (160, 160, 3)
        assert frame.dtype == np.uint8
        # The red of the astronaut's suit would be 100 levels off in blue-first order.
        assert np.abs(frame.astype(int) - packed).mean() < 3
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_mel_that_is_a_slice_is_packed_in_the_right_order(clip: PackedClip, tmp_path: Path) -> None:
    wide = np.arange(80 * 50, dtype=np.float32).reshape(50, 80).T
    sliced = PackedClip(
        jpegs=clip.jpegs, mel=wide[:, 10:30], boxes=clip.boxes, speaker="a", source="a/b"
    )
    write_pack(sliced, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(PackReader(tmp_path / "a.safetensors").mel, wide[:, 10:30])


def test_frame_past_the_end_is_an_index_error(clip: PackedClip, tmp_path: Path) -> None:
    write_pack(clip, tmp_path / "a.safetensors")
    with pytest.raises(IndexError):
        PackReader(tmp_path / "a.safetensors").frame(6)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_pack_is_refused_by_name(clip: PackedClip, tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.safetensors"
    write_pack(clip, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CorpusError, match=r"a\.safetensors.*prepare the corpus again"):
        PackReader(path)


def test_missing_pack_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"gone\.safetensors"):
        PackReader(tmp_path / "gone.safetensors")


def test_foreign_safetensors_is_no_pack(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"a": np.zeros(3, dtype=np.float32)}, path)
    with pytest.raises(CorpusError, match="format None"):
        PackReader(path)


def test_pack_without_its_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": np.zeros(3)}, path, metadata={"format": "lipwright-clip-1"})
    with pytest.raises(CorpusError, match="cannot read clip"):
        PackReader(path)


def test_damaged_picture_is_refused_by_number(clip: PackedClip, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_pack(clip, path)
    damaged = path.read_bytes().replace(clip.jpegs[0], bytes(len(clip.jpegs[0])))
    path.write_bytes(damaged)
    reader = PackReader(path)
    assert reader.frame(1).shape == (160, 160, 3)
    with pytest.raises(CorpusError, match="frame 0 of"):
        reader.frame(0)


def test_pack_that_cannot_be_written_leaves_nothing(clip: PackedClip, tmp_path: Path) -> None:
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(CorpusError, match=r"cannot write .*taken\.safetensors"):
        write_pack(clip, tmp_path / "taken.safetensors")
    (tmp_path / "file").write_text("a file where a folder is needed")
    with pytest.raises(CorpusError, match="cannot write"):
        write_pack(clip, tmp_path / "file" / "a.safetensors")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["file", "taken.safetensors"]


def test_points_survive_to_a_tenth_of_a_pixel(clip: PackedClip, tmp_path: Path) -> None:
    points = np.random.default_rng(1).uniform(-0.2, 1.2, (6, 468, 2)).astype(np.float32)
    write_pack(replace(clip, points=points), tmp_path / "a.safetensors")
    found = PackReader(tmp_path / "a.safetensors").points
    assert found is not None
    assert found.dtype == np.float32
    np.testing.assert_allclose(160 * found, 160 * points, atol=0.1)


def test_motion_of_a_mouth_is_what_it_does_beyond_its_rest(
    clip: PackedClip, tmp_path: Path
) -> None:
    openings = np.array([0.3, 0.05, 0.0, 0.25, 0.05, 0.1])  # the second lowest is rest
    points = np.stack([in_crop(mesh_face(opening), size=1, margin=1.25) for opening in openings])
    write_pack(replace(clip, points=points), tmp_path / "a.safetensors")
    motion = PackReader(tmp_path / "a.safetensors").mouth_motion
    assert motion is not None
    assert motion.dtype == np.float32
    np.testing.assert_allclose(motion[:, 0], openings - 0.05, atol=2e-3)
    shapes = mouth_shape(points)
    np.testing.assert_allclose(motion, shapes - shapes[1], atol=4e-3)


def test_pack_without_points_has_no_motion(clip: PackedClip, tmp_path: Path) -> None:
    write_pack(clip, tmp_path / "a.safetensors")
    reader = PackReader(tmp_path / "a.safetensors")
    assert reader.points is None
    assert reader.mouth_motion is None
