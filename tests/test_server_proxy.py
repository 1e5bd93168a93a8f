"""The server below a path of a real nginx: none of its addresses may lead out of that path."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin

import pytest
from PIL import Image

from tests.server import FORMAT, Server
from tests.triton_requests import image, json_body
from tests.waiting import SECONDS, wait_for

pytestmark = pytest.mark.slow

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /open/ {{ proxy_pass http://127.0.0.1:{open}/; }}
        location /deep/er/ {{ proxy_pass http://127.0.0.1:{plain}/; }}
        location /locked/ {{ proxy_pass http://127.0.0.1:{locked}/; }}
    }}
}}
"""
PREFIXES = ("open", "deep/er")
TOKEN = "open sesame"


@pytest.fixture(scope="module")
def nginx(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of nginx, with three servers behind it; one of them requires a token."""
    command = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if command is None:
        pytest.skip("nginx is not installed; on Debian: apt-get install nginx-light")
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "token").write_text(TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    common = (archive, "--format", FORMAT)
    with (
        Server(*common) as open_server,
        Server(*common, "--plain", "--log", folder / "field.sqlite") as plain,
        Server(*common, "--token-file", folder / "token") as locked,
    ):
        ports = {"port": port, "open": open_server.port, "plain": plain.port, "locked": locked.port}
        (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, **ports))
        process = subprocess.Popen([command, "-p", folder, "-c", folder / "nginx.conf"])
        try:
            wait_for(lambda: _listens(port), process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def get(address: str) -> tuple[str, str]:
    """The final address after redirects, and its content."""
    with urllib.request.urlopen(address, timeout=SECONDS) as response:
        return response.geturl(), response.read().decode("latin-1")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_address_that_the_server_names_exists_below_the_path(nginx: str, prefix: str) -> None:
    root = f"{nginx}/{prefix}/"
    address, page = get(root)
    assert address == f"{root}bundles/mnist-digits/embedded/browser/"
    assert "pictures.js" in page
    with urllib.request.urlopen(address, timeout=SECONDS) as answer:
        link = answer.headers["link"].partition(">")[0].lstrip("<")
    assert urljoin(address, link) == f"{root}docs"
    assert "Models served here" in get(urljoin(address, link))[1]
    assert get(f"{root}docs/")[0] == f"{root}docs"
    description = json.loads(get(f"{root}openapi.json")[1])
    (server,) = description["servers"]
    base = urljoin(f"{root}openapi.json", server["url"])
    assert base == root
    for path, operations in description["paths"].items():
        if "get" in operations:
            assert get(urljoin(base, path[1:]))[1], path


@pytest.mark.parametrize("prefix", PREFIXES)
def test_both_pages_work_in_a_browser_below_the_path(
    nginx: str, prefix: str, chromium: Any, tmp_path: Path
) -> None:
    Image.fromarray(image(1)[0].squeeze()).save(tmp_path / "picture.png")
    root, faults, addresses = f"{nginx}/{prefix}/", [], []
    page = chromium.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("response", lambda answer: addresses.append((answer.url, answer.status)))
    page.goto(root)
    page.wait_for_selector("#main:not([hidden])")
    page.click("#server")
    page.wait_for_selector("#pages a")
    assert page.url == f"{root}docs"
    assert f"{root}predict" in str(page.text_content("#curl"))
    page.set_input_files("#picture", str(tmp_path / "picture.png"))
    page.wait_for_function("document.getElementById('answer').textContent.startsWith('It shows')")
    page.click("#pages a")
    page.wait_for_selector("#main:not([hidden])")
    assert not faults
    assert all(address.startswith((root, "data:", "blob:")) for address, _ in addresses), addresses
    assert all(status < 400 for _, status in addresses), addresses


def test_a_person_logs_in_below_the_path_too(nginx: str, chromium: Any, tmp_path: Path) -> None:
    """Once: everything that the pages load then arrives, and the token appears in no address."""
    Image.fromarray(image(1)[0].squeeze()).save(tmp_path / "picture.png")
    root, addresses = f"{nginx}/locked/", []
    page = chromium.new_page()
    page.on("request", lambda request: addresses.append(request.url))
    page.goto(f"{root}docs")
    page.fill("input[name=token]", "wrong")
    page.click("button")
    assert "not the token" in str(page.text_content("[role=status]"))
    page.goto(f"{root}docs")
    page.fill("input[name=token]", TOKEN)
    page.click("button")
    page.wait_for_selector("#pages a")
    assert page.url == f"{root}docs"
    page.set_input_files("#picture", str(tmp_path / "picture.png"))
    page.wait_for_function("document.getElementById('answer').textContent.startsWith('It shows')")
    page.click("#pages a")
    page.wait_for_selector("#main:not([hidden])")
    cookies: list[Any] = page.context.cookies()
    assert not [address for address in addresses if "sesame" in address]
    assert [(cookie["path"], cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies] == [
        ("/locked", True, "Strict")
    ]
    with pytest.raises(HTTPError, match="401"):
        get(f"{root}bundles/mnist-digits/embedded/browser/model.wasm")


def test_programs_send_requests_through_the_proxy(nginx: str) -> None:
    for prefix, headers in (
        ("open", {}),
        ("deep/er", {}),
        ("locked", {"Authorization": f"Bearer {TOKEN}"}),
    ):
        address = f"{nginx}/{prefix}/v2/models/mnist-digits/infer"
        request = urllib.request.Request(address, json_body(), headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            assert json.loads(answer.read())["model_name"] == "mnist-digits"
