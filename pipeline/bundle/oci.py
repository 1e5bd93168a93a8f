"""Writes an image with one layer, as the OCI image specification 1.1 has it.

Equal files give equal bytes, and neither a registry nor root is needed.
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.files import artifacts

MEDIA = "application/vnd.oci.image."


def write(folder: Path, tag: str, layer: Path, architecture: str, config: Mapping[str, Any]) -> int:
    """Writes the layout into a new folder; returns the size of all its blobs in bytes.

    `layer` is a tar archive of the file system, `architecture` Go's name of the processor's, and
    `config` what a container runs, under the names of the specification's image configuration.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    compressed = folder / "layer"
    with (
        layer.open("rb") as source,
        compressed.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as zipped,
    ):
        shutil.copyfileobj(source, zipped)
    image = {
        "architecture": architecture,
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{artifacts.sha256(layer)}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{MEDIA}manifest.v1+json",
        "config": _blob(blobs, "config.v1+json", _json(folder / "config", image)),
        "layers": [_blob(blobs, "layer.v1.tar+gzip", compressed)],
    }
    described = _blob(blobs, "manifest.v1+json", _json(folder / "manifest", manifest))
    named = {**described, "annotations": {"org.opencontainers.image.ref.name": tag}}
    _json(folder / "index.json", {"schemaVersion": 2, "manifests": [named]})
    _json(folder / "oci-layout", {"imageLayoutVersion": "1.0.0"})
    return sum(path.stat().st_size for path in blobs.iterdir())


def _blob(blobs: Path, kind: str, path: Path) -> dict[str, Any]:
    """Moves a file to where its content says, and describes it."""
    digest, size = artifacts.sha256(path), path.stat().st_size
    path.rename(blobs / digest)
    return {"mediaType": f"{MEDIA}{kind}", "digest": f"sha256:{digest}", "size": size}


def _json(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content, sort_keys=True), encoding="utf-8")
    return path
