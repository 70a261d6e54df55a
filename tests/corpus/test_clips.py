from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clip_makers import talking

from lipwright.corpus import Accepted, Ledger, Rejection, Split, load_clips
from lipwright.corpus.pack import PackedClip, encode_crop, write_pack
from lipwright.errors import CorpusError


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Four clips of three speakers and one that was turned down, not in the order of names."""
    ledger = Ledger(tmp_path)
    places: list[tuple[str, Split]] = [
        ("s2/a", "train"),
        ("s26/a", "val"),
        ("s1/b", "train"),
        ("s1/a", "train"),
    ]
    for number, (clip, split) in enumerate(places):
        speaker = clip.partition("/")[0]
        packed = PackedClip(
            jpegs=tuple(encode_crop(picture) for picture in talking(2 + number, side=40)),
            mel=np.zeros((80, 12), dtype=np.float32),
            boxes=np.zeros((2 + number, 4), dtype=np.float32),
            speaker=speaker,
            source=clip,
        )
        file = f"clips/{clip}.safetensors"
        write_pack(packed, tmp_path / file)
        ledger.append(
            Accepted(clip=clip, speaker=speaker, split=split, num_frames=2 + number, file=file)
        )
    ledger.append(Rejection(clip="s1/c", reason="silent: quite"))
    return tmp_path


def test_clips_of_a_split_come_in_order_of_name(corpus: Path) -> None:
    clips = load_clips(corpus, "train")
    assert [entry.clip for entry in clips.entries] == ["s1/a", "s1/b", "s2/a"]
    assert len(clips) == 3
    assert [entry.clip for entry in load_clips(corpus, "val").entries] == ["s26/a"]


def test_clips_open_by_index(corpus: Path) -> None:
    clips = load_clips(corpus, "train")
    for index, entry in enumerate(clips.entries):
        reader = clips.open(index)
        assert reader.num_frames == entry.num_frames
        assert reader.speaker == entry.speaker
        assert reader.frame(0).shape == (40, 40, 3)
    assert clips.open(1) is clips.open(1)


def test_clips_can_be_limited_to_speakers(corpus: Path) -> None:
    clips = load_clips(corpus, "train", speakers=["s2", "s9"])
    assert [entry.clip for entry in clips.entries] == ["s2/a"]
    with pytest.raises(CorpusError, match=r"no clips of the speakers s26 in the split 'train'"):
        load_clips(corpus, "train", speakers=["s26"])


def test_puppets_are_clips_like_others_unless_they_are_not_wanted(corpus: Path) -> None:
    real = load_clips(corpus, "train").entries
    puppet = replace(real[0], clip="people/1/s1_a", speaker="people/1", driver="s1/a")
    Ledger(corpus).append(puppet)
    assert load_clips(corpus, "train").entries == (puppet, *real)
    assert load_clips(corpus, "train", with_puppets=False).entries == real
    with pytest.raises(CorpusError, match="no clips of the speakers people/1"):
        load_clips(corpus, "train", speakers=["people/1"], with_puppets=False)


def test_folder_without_a_ledger_is_no_corpus(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(CorpusError, match=r"is not a corpus .*lipwright prepare") as caught:
            load_clips(folder, "train")
        assert str(folder) in str(caught.value)


def test_empty_split_is_refused_by_name(corpus: Path) -> None:
    with pytest.raises(CorpusError, match="no clips in the split 'test'"):
        load_clips(corpus, "test")


def test_pack_that_is_gone_is_a_corpus_error(corpus: Path) -> None:
    clips = load_clips(corpus, "val")
    (corpus / clips.entries[0].file).unlink()
    with pytest.raises(CorpusError, match=r"s26/a\.safetensors"):
        clips.open(0)
