"""What keeps a team's servers from starting is one sentence."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from pipeline.process.errors import UserError
from pipeline.team import postgresql as product
from pipeline.team import seaweedfs, settings
from pipeline.team.server import Server
from tests import postgresql
from tests.small_disk import small_disk


def test_settings_are_made_once_and_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / ".team"
    made = settings.load(folder)
    assert settings.load(folder) == made
    assert len({*made.ports.model_dump().values()}) == len(settings.Ports.model_fields)
    path = folder / "settings.json"
    values = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**values, "secrets": {}}), "utf-8")
    with pytest.raises(UserError, match=r"settings\.json is damaged; restore it from a backup"):
        settings.load(folder)
    path.rename(folder / "elsewhere")
    with pytest.raises(UserError, match=r"settings\.json is missing, but .* is not empty"):
        settings.load(folder)


def test_a_port_that_is_taken_is_named_with_who_has_it(tmp_path: Path) -> None:
    team = settings.load(tmp_path)
    settings.check_ports(team.ports, tmp_path)
    port = team.ports.s3
    with socket.create_server(("127.0.0.1", port)), pytest.raises(UserError) as raised:
        settings.check_ports(team.ports, tmp_path)
    sentence = str(raised.value)
    assert f"port {port}, which {tmp_path}/settings.json has for s3, is taken by" in sentence
    assert f"by process {os.getpid()} (" in sentence


def test_a_server_that_ends_at_once_or_is_missing_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    false = Server("It", "nowhere", ["false"], lambda: False, tmp_path / "it.log")
    with pytest.raises(UserError, match=r"^It ended with status 1 before .*; see .*it\.log$"):
        false.start()
    monkeypatch.setattr(product, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="server is not installed; on Debian: apt-get install post"):
        product.programs(tmp_path / "postgresql")
    (tmp_path / "postgresql").mkdir()
    (tmp_path / "postgresql/PG_VERSION").write_text("9.6\n", "ascii")
    with pytest.raises(UserError, match=r"^PostgreSQL 9\.6, which made .* install postgresql-9\.6"):
        product.programs(tmp_path / "postgresql")


def test_a_disk_that_has_no_room_for_s3_is_one_sentence(tmp_path: Path) -> None:
    team = settings.load(tmp_path / "servers")
    (tmp_path / "full").mkdir()
    with (
        small_disk(tmp_path / "full"),
        pytest.raises(UserError, match=r"^only 0\.0 GB are free .* less than 1 GiB; make room"),
    ):
        seaweedfs.server(tmp_path / "full", team)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as another user")
def test_root_is_told_of_a_folder_that_postgresql_may_not_enter(tmp_path: Path) -> None:
    postgresql.installed()
    (tmp_path / "closed").mkdir(mode=0o700)
    with pytest.raises(UserError, match=r"the user postgres may not enter .*/closed/team; let it"):
        product.account(tmp_path / "closed/team")
