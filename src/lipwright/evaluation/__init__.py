"""How good is it: do the lips follow the speech?"""

from lipwright.evaluation.landmarks import FaceMesh
from lipwright.evaluation.mouth import MouthMotion, compare_motion, mouth_opening

__all__ = ["FaceMesh", "MouthMotion", "compare_motion", "mouth_opening"]
