"""The static host of a simulated fleet: S3 with releases, and a bad line to it."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import cutting_proxy, fleet_devices
from benchmarks.cutting_proxy import CuttingProxy
from pipeline.team import seaweedfs, settings
from pipeline.team.server import HOST, running
from serving.bundle import SUFFIX, Bundle
from serving.model_card import ModelCard

BUCKET, REPORTS = "fleet", "reports"


@dataclass
class Host:
    """The static host: S3 with the releases, and a bad line to it."""

    folder: Path
    card: ModelCard
    client: Any
    address: str
    proxy: CuttingProxy

    @property
    def name(self) -> str:
        return f"{self.card.name}-{self.card.version}"

    def reported(self) -> list[str]:
        """The devices whose lines are in the bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{REPORTS}/"
        )
        keys = [Path(item["Key"]) for page in pages for item in page.get("Contents", [])]
        return [key.stem for key in keys]

    def fetch(self, folder: Path, devices: Collection[str]) -> Path:
        """Copies the lines of these devices."""
        for device in set(self.reported()) & set(devices):
            path = folder / f"{device}.json"
            self.client.download_file(BUCKET, f"{REPORTS}/{device}.json", str(path))
        return folder


@contextmanager
def host(folder: Path, source: Path) -> Iterator[Host]:
    """The host with its releases, which an earlier call may have put there."""
    servers = settings.load(folder / "servers")
    with running(seaweedfs.server(folder / "servers", servers)):
        client = _client(servers)
        releases = folder / "releases"
        if not (releases / "published").exists():
            shutil.rmtree(releases, ignore_errors=True)
            releases.mkdir()
            fleet_devices.publish(source, releases)
            _upload(client, releases)
            fleet_devices.programs(releases / "programs")
            (releases / "published").touch()
        settings.write_secret(releases / ".curlrc", _curlrc(servers))
        card = Bundle(source).card
        size = dict(fleet_devices.sizes(releases))[".gz"]
        proxy = CuttingProxy((HOST, servers.ports.s3), SUFFIX.encode(), size // 2)
        with cutting_proxy.running(proxy):
            yield Host(releases, card, client, seaweedfs.address(servers), proxy)


def _client(servers: settings.Settings) -> Any:
    import boto3

    variables = seaweedfs.variables(servers)
    return boto3.client(
        "s3",
        endpoint_url=seaweedfs.address(servers),
        region_name=variables["AWS_DEFAULT_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


def _curlrc(servers: settings.Settings) -> str:
    """How docs/device.md lets curl sign its requests to S3."""
    variables = seaweedfs.variables(servers)
    user = f"{variables['AWS_ACCESS_KEY_ID']}:{variables['AWS_SECRET_ACCESS_KEY']}"
    return f'aws-sigv4 = "aws:amz:{variables["AWS_DEFAULT_REGION"]}:s3"\nuser = "{user}"\n'


def _upload(client: Any, releases: Path) -> None:
    client.create_bucket(Bucket=BUCKET)
    for path in releases.glob("*/*"):
        client.upload_file(str(path), BUCKET, f"{path.parent.name}/{path.name}")
