# /// script
# requires-python = "==3.11.*"
# dependencies = ["xmos-ai-tools==1.4.2"]
# ///
"""Prints the folder of XMOS's tools, whose wheel contains TensorFlow Lite Micro for C++.

`uv run --script` creates an environment for it from the lock file beside this file.
"""

from importlib.util import find_spec

spec = find_spec("xmos_ai_tools")
assert spec and spec.submodule_search_locations
print(spec.submodule_search_locations[0])
