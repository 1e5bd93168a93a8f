"""From data to a proven bundle: each file here is one stage of dvc.yaml."""

from __future__ import annotations

import os

# Pictures are outs of stages, so a user's matplotlibrc must not change them: one that asks for
# LaTeX, which is not there, would even end the run.
os.environ["MATPLOTLIBRC"] = os.devnull
