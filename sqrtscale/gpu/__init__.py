"""Whether calibrations can run on a GPU here, and how: what torch can use, why it cannot, what a trial says. Loads no torch."""

from .detection import Detection, detect
from .diagnosis import GRAPHS_OFF, Diagnosis, diagnose, diagnose_each, remembered

__all__ = ["GRAPHS_OFF", "Detection", "Diagnosis", "detect", "diagnose", "diagnose_each", "remembered"]
