"""The model server: the Open Inference Protocol V2, pictures for people, metrics and a page, for one or more bundles.

protocol.py     bytes <-> arrays; with compression.py the part that every server needs
models.py       the bundles, each with its queue and its reload
service.py      from a request to its answer, whatever carries the two
origins.py      which pages in browsers may ask; login.py is their way in where there is a token
http_parser.py  bytes -> requests, by RFC 9112
connection.py   one connection: requests, answers, limits of time
event_loop.py   the event loop, and a drain on SIGTERM
"""

from importlib import metadata

try:
    VERSION = metadata.version("serving")
except metadata.PackageNotFoundError:  # run from its sources
    VERSION = "0"
