import os
from pathlib import Path

import pytest

from lipwright.corpus import LEDGER_NAME, Accepted, Ledger, LedgerLine, Rejection, Split, summary
from lipwright.errors import CorpusError

NOT_UTF8 = os.fsdecode(b"caf\xe9/un")


def accepted(clip: str, *, split: Split = "train", num_frames: int = 75) -> Accepted:
    return Accepted(
        clip=clip,
        speaker=clip.split("/", maxsplit=1)[0],
        split=split,
        num_frames=num_frames,
        file=f"clips/{clip}.safetensors",
    )


LINES: list[LedgerLine] = [
    accepted("anna/a"),
    Rejection(clip="žofie/\n b", reason='unreadable: "x"\u2028'),
    Accepted(
        clip="anna/c",
        speaker="anna",
        split="val",
        num_frames=3,
        file="clips/anna/c.safetensors",
        offset_frames=-2,
        confidence=0.25,
    ),
    Accepted(
        clip="people/1/anna_c",
        speaker="people/1",
        split="val",
        num_frames=3,
        file="clips/people/1/anna_c.safetensors",
        driver="anna/c",
    ),
    Rejection(clip=NOT_UTF8, reason="name is not UTF-8"),
]


def test_ledger_gives_back_every_line_in_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert list(ledger.lines()) == []
    for line in LINES:
        ledger.append(line)
    assert list(Ledger(tmp_path).lines()) == LINES
    assert len((tmp_path / LEDGER_NAME).read_bytes().splitlines()) == len(LINES)


def test_lines_from_before_there_were_puppets_are_those_of_real_clips(tmp_path: Path) -> None:
    (tmp_path / LEDGER_NAME).write_text(
        '{"status": "accepted", "clip": "anna/a", "speaker": "anna", "split": "train", '
        '"num_frames": 75, "file": "clips/anna/a.safetensors", "offset_frames": null, '
        '"confidence": null}\n'
    )
    assert list(Ledger(tmp_path).lines()) == [accepted("anna/a")]
    assert accepted("anna/a").driver is None


def test_ledger_survives_a_crash_after_any_byte_of_the_last_line(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(LINES[0])
    begin = ledger.path.stat().st_size
    last = Rejection(clip="žofie/č", reason="žádná tvář: nikde")
    ledger.append(last)
    whole = ledger.path.read_bytes()
    for end in range(begin + 1, len(whole) - 1):
        ledger.path.write_bytes(whole[:end])
        assert list(ledger.lines()) == [LINES[0]]
        ledger.drop_torn_line()
        assert ledger.path.read_bytes() == whole[:begin]
    ledger.append(last)
    assert list(ledger.lines()) == [LINES[0], last]


def test_whole_ledger_loses_nothing_when_torn_lines_are_dropped(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.drop_torn_line()
    assert not ledger.path.exists()
    for line in LINES:
        ledger.append(line)
    ledger.drop_torn_line()
    assert list(ledger.lines()) == LINES


def test_ledger_of_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.path.write_text('{"status": "acc')
    ledger.drop_torn_line()
    assert ledger.path.read_bytes() == b""
    assert list(ledger.lines()) == []


@pytest.mark.parametrize(
    "row",
    [
        b'{"status": "rej',
        b"5",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"status":"accepted"}',
        b'{"status": "rejected", "clip": "a", "reason": "b", "colour": "c"}',
    ],
)
def test_damage_before_the_last_line_is_refused_with_its_number(tmp_path: Path, row: bytes) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(LINES[0])
    with ledger.path.open("ab") as file:
        file.write(row + b"\n")
    ledger.append(LINES[1])
    with pytest.raises(CorpusError, match=r"ledger\.jsonl line 2 is damaged"):
        list(ledger.lines())


def test_ledger_that_cannot_be_written_is_a_corpus_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot write"):
        Ledger(tmp_path / "missing").append(LINES[0])


def test_summary_counts_clips_minutes_speakers_and_reasons() -> None:
    lines = [
        accepted("s1/a", num_frames=1500),
        accepted("s1/b", num_frames=1500),
        accepted("s2/a", num_frames=750),
        accepted("s26/a", split="val"),
        Rejection(clip="s3/a", reason="no face: in none of 75 frames"),
        Rejection(clip="s3/b", reason="silent: the loudest sample is 0.00000 of full scale"),
        Rejection(clip="s3/c", reason="no face: in none of 50 frames"),
    ]
    assert summary(lines).splitlines() == [
        "train: 3 clips, 2.5 minutes, 2 speakers",
        "val: 1 clips, 0.1 minutes, 1 speakers",
        "rejected: 3 clips",
        "  2 x no face",
        "  1 x silent",
    ]


def test_summary_of_nothing_says_so() -> None:
    assert summary([]) == "rejected: 0 clips"
