"""The model server: the Open Inference Protocol V2, pictures for people, metrics and a page, for one or more bundles.

protocol.py     bytes <-> arrays; with compression.py the part that every server needs
models.py       the bundles, each with its queue and its reload
service.py      from a request to its answer, whatever carries the two
application.py  carries them over ASGI; connection.py and process.py are uvicorn with limits and a drain
plain.py        carries them over the standard library's HTTP server, where no package may be installed; incoming.py reads its requests
"""

from importlib import metadata

try:
    VERSION = metadata.version("serving")
except metadata.PackageNotFoundError:  # run from its sources
    VERSION = "0"
