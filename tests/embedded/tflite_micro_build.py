# /// script
# requires-python = "==3.11.*"
# dependencies = ["xmos-ai-tools==1.4.2"]
# ///
"""Prints the folder of XMOS's tools, which bring TensorFlow Lite Micro for C++, with its headers, in a wheel: `uv run --script`
makes an environment of their own from the lock file beside this one."""

from importlib.util import find_spec

found = find_spec("xmos_ai_tools")
assert found and found.submodule_search_locations
print(found.submodule_search_locations[0])
