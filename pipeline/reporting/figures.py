"""Matplotlib's Figure in its own style.

Pictures are outs of stages, so a user's matplotlibrc must not change them: one that asks for LaTeX,
which is not there, would even end the run. Matplotlib reads that of the current folder in any case.
"""

from __future__ import annotations

import matplotlib
from matplotlib.figure import Figure

__all__ = ["Figure"]

matplotlib.rcdefaults()
