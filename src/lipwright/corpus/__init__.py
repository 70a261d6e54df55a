"""From folders of videos to training clips."""

from lipwright.corpus.clips import Clips, load_clips
from lipwright.corpus.ledger import (
    LEDGER_NAME,
    Accepted,
    Ledger,
    LedgerLine,
    Rejection,
    Split,
    summary,
)
from lipwright.corpus.pack import CORPUS_FPS, CROP_MARGIN, PackReader
from lipwright.corpus.prepare import prepare_corpus
from lipwright.corpus.puppets import PuppetConfig, add_puppets
from lipwright.corpus.split import SplitRule, load_split
from lipwright.corpus.stages import PrepareConfig

__all__ = [
    "CORPUS_FPS",
    "CROP_MARGIN",
    "LEDGER_NAME",
    "Accepted",
    "Clips",
    "Ledger",
    "LedgerLine",
    "PackReader",
    "PrepareConfig",
    "PuppetConfig",
    "Rejection",
    "Split",
    "SplitRule",
    "add_puppets",
    "load_clips",
    "load_split",
    "prepare_corpus",
    "summary",
]
