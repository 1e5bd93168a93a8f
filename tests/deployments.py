# /// script
# requires-python = "==3.11.*"
# dependencies = ["compose-spec==0.2.1", "kserve==0.21.0", "kubernetes-validate==1.37.0", "numpy"]
# ///
"""Checks compose files and Kubernetes manifests offline; prints a fault in each line.

Kubernetes' own kinds are checked with its schemas, KServe's with the classes of its package, and
compose files with those of the compose specification. An environment of its own, as for
`kserve_client.py`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import compose_spec
import kserve.models
import kubernetes.client.models
import kubernetes_validate
import yaml

KSERVE = {"InferenceService": "V1beta1InferenceService", "ServingRuntime": "V1alpha1ServingRuntime"}
PLAIN: dict[str, Any] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "object": object,
}
EITHER = ("IntOrString", "ResourceQuantity")  # types that are numbers or words


def faults(path: Path) -> Iterator[str]:
    text = path.read_text("utf-8")
    if path.name.startswith("compose"):
        try:
            # The package does not know YAML's merge key, `<<`.
            compose_spec.PyCompose.from_json(json.dumps(yaml.safe_load(text))).to_spec()
        except ValueError as error:
            yield str(error)
        return
    for document in yaml.safe_load_all(text):
        if document["kind"] in KSERVE:
            yield from wrong(document, KSERVE[document["kind"]], document["kind"])
        else:
            try:
                kubernetes_validate.validate(document, "1.37", strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{document['kind']}: {error}"


def wrong(value: Any, kind: str, place: str) -> Iterator[str]:
    """What is not as the class named `kind` has it: unknown keys, missing ones, and types."""
    if match := re.fullmatch(r"[Ll]ist\[(.*)\]", kind):
        for number, each in enumerate(value):
            yield from wrong(each, match[1], f"{place}[{number}]")
    elif match := re.fullmatch(r"[Dd]ict[\[(]str, (.*)[\])]", kind):
        for name, each in value.items():
            yield from wrong(each, match[1], f"{place}.{name}")
    elif kind in PLAIN or kind in EITHER:
        if not isinstance(value, PLAIN.get(kind, (int, str))):
            yield f"{place} is {value!r}, not {kind}"
    else:
        yield from wrong_members(value, kind, place)


def wrong_members(value: Any, kind: str, place: str) -> Iterator[str]:
    model = getattr(kserve.models, kind, None) or getattr(kubernetes.client.models, kind)
    if not isinstance(value, dict):
        yield f"{place} is {value!r}, not {kind}"
        return
    names = {written: name for name, written in model.attribute_map.items()}
    for unknown in value.keys() - names.keys():
        yield f"{place} has an unknown key {unknown}"
    known = {names[key]: each for key, each in value.items() if key in names}
    try:
        model(**known)
    except ValueError as error:
        yield f"{place}: {' '.join(str(error).split())}"
    for name, each in known.items():
        yield from wrong(each, model.openapi_types[name], f"{place}.{model.attribute_map[name]}")


lines = [f"{name}: {fault}" for name in sys.argv[1:] for fault in faults(Path(name))]
print("\n".join(lines))
sys.exit(bool(lines))
