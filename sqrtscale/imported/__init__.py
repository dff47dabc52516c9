"""From other programs' logs to a comparison that can be judged: what is guessed, what is asked, and curves on common points.

No file is read here (``logs`` does that) and nothing is judged (``evidence`` does).
"""

from ._answers import Answers, Imported, Selection, imported
from ._grid import on_common_points
from ._guesses import Guess, arms_of, batch_of, metric_of, seeds_of, values_of

__all__ = [
    "Answers", "Guess", "Imported", "Selection", "arms_of", "batch_of", "imported", "metric_of", "on_common_points", "seeds_of",
    "values_of",
]
