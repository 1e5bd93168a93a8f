"""A real S3 server, SeaweedFS, which the tests start and stop."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tests.test_tracking import free_port
from tests.waiting import SECONDS, wait_for

KEY, SECRET = "tester", "a-secret-of-the-tests"
ACTIONS = ("Admin", "Read", "Write", "List", "Tagging")
VARIABLES = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextmanager
def server(folder: Path, *buckets: str) -> Iterator[str]:
    """The address of a running server with these buckets; its data are in `folder`."""
    folder.mkdir()
    identity = {"name": KEY, "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
    settings = folder / "s3.json"
    settings.write_text(json.dumps({"identities": [{**identity, "actions": ACTIONS}]}))
    ports = {f"-{name}.port": free_port() for name in ("master", "volume", "filer", "s3")}
    grpc = {f"{name}.grpc": free_port() for name in ports}
    command = [str(Path(sys.executable).with_name("weed")), "server", "-filer", "-s3"]
    command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", f"-s3.config={settings}"]
    # Each bucket takes several volumes.
    command += ["-volume.max=100", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0"]
    command += [f"{name}={port}" for name, port in {**ports, **grpc}.items()]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{ports['-s3.port']}"
    try:
        wait_for(lambda: has_buckets(address, buckets), process)
        yield address
    finally:
        process.terminate()
        process.wait(SECONDS)


def has_buckets(address: str, names: tuple[str, ...]) -> bool:
    client = boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    try:
        for name in names:
            client.create_bucket(Bucket=name)
            client.put_object(Bucket=name, Key="ready", Body=b"ready")
            client.delete_object(Bucket=name, Key="ready")
    except (BotoCoreError, ClientError):
        return False
    return True
