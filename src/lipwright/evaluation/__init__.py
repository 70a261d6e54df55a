"""How good is it: do the lips follow the speech?"""

from lipwright.evaluation.mouth import MouthMotion, compare_motion

__all__ = ["MouthMotion", "compare_motion"]
