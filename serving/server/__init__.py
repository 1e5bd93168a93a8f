"""The model server: Open Inference Protocol V2, pictures, metrics and web pages, for any bundles.

protocol.py               a model's interface, and the protocol's responses
request_bodies.py         what clients send, from bytes to images
label_bodies.py           what clients say was true, from bytes to labels
models.py                 the models that are served: queues, batches, reload
messages.py               a request and its response, free of any transport
service.py, handlers.py   routing and admission of requests, and what each route answers
origins.py, login.py      which web pages may send requests, and how a person logs in
public_files.py           the files of a bundle that browsers may load
limits.py                 every limit
prediction_log_writer.py  the thread that logs predictions
http_parser.py            from bytes to requests
connection.py             one connection: its requests, responses and time limits
grpc_server.py            calls of the protocol's gRPC, answered as requests over HTTP
grpc_messages.py          the messages of those calls, and what they say in JSON
event_loop.py             the sockets; accepts connections, and drains them on SIGTERM
"""

from __future__ import annotations

from serving import runtimes

VERSION = runtimes.installed("serving") or "0"  # "0": run from its sources
