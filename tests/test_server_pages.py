"""What people in a browser get from the server: pages, pictures, other origins, the login."""

from __future__ import annotations

import base64
import io
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest

from serving import Classifier
from serving.bundle import Bundle
from tests.server import FORMAT, Server, failed, png, rename

pytestmark = pytest.mark.slow


def test_a_person_sends_a_picture_and_gets_its_class(
    server: Server, archive: Path, classifier: Classifier
) -> None:
    with np.load(io.BytesIO(Bundle(archive).read("golden.npz"))) as golden:
        pixels, label = golden["images"][0], str(golden["labels"][0])
    answer = server.ask("POST", "/predict", png(pixels), {"Content-Type": "image/png"})
    assert answer.status == 200, answer.body
    probabilities = answer.json["probabilities"]
    assert set(probabilities) == set(classifier.card.class_names)
    assert answer.json["class"] == max(probabilities, key=probabilities.get) == label
    path = f"/predict?model={classifier.card.name}"
    assert server.ask("POST", path, png(pixels, "JPEG")).json["class"] == label
    assert server.ask("POST", "/predict?model=other", png(pixels)).status == 404


def test_a_form_is_refused_and_the_error_says_how_to_send_a_picture(server: Server) -> None:
    answer = server.ask(
        "POST", "/predict", b"--x\r\n", {"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert answer.status == 415
    cure = "send the picture itself, as `curl --data-binary @picture.png` does"
    assert cure in answer.body.decode()


def test_the_page_speaks_in_words_and_offers_only_an_engine_that_the_server_has(
    server: Server, chromium: Any
) -> None:
    page = chromium.new_page()
    page.goto(f"http://{server.url}/")
    page.wait_for_selector("#main:not([hidden])")
    assert page.get_by_text("Is it proven on this device?").is_visible()
    assert not page.is_visible("#compare")
    card = page.inner_text("#card")
    assert "WebAssembly module, bytes: " in card
    assert "verdict on all test examples: proven" in card
    assert "RAM available to the model, bytes" in card
    assert "wasm bytes" not in card


def test_the_only_bundles_page_is_served_with_its_types_and_a_strict_policy(
    each_server: Server, archive: Path
) -> None:
    start = each_server.get("/")
    assert start.status == 307
    assert not start.headers["location"].startswith("/")
    address = urljoin("/", start.headers["location"])
    page = each_server.get(address)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in page.headers["content-security-policy"]
    assert page.headers["link"] == '<../../../../docs>; rel="service-doc"'
    assert each_server.get("/docs/").headers["location"] == "../docs"
    contents = Bundle(archive)
    types = {
        "model.wasm": "application/wasm",
        "page.js": "text/javascript; charset=utf-8",
        "page.css": "text/css; charset=utf-8",
    }
    for name, kind in types.items():
        answer = each_server.get(address + name)
        assert answer.headers["content-type"] == kind
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.body == contents.read(f"embedded/browser/{name}")
        unchanged = each_server.ask(
            "GET", address + name, headers={"If-None-Match": answer.headers["etag"]}
        )
        assert (unchanged.status, unchanged.body) == (304, b"")
        strong = answer.headers["etag"].removeprefix("W/")
        for matching in ("*", strong, f'"other", {strong}', f'W/"a,b",W/{strong} , "c"'):
            headers = {"If-None-Match": matching}
            assert each_server.ask("GET", address + name, headers=headers).status == 304, matching
        for other in ('"other"', strong.strip('"'), strong[:-1], f'"{strong[2:]}', ""):
            headers = {"If-None-Match": other}
            assert each_server.ask("HEAD", address + name, headers=headers).status == 200, other
        assert each_server.ask("HEAD", address + name).body == b""
    for path in (
        "golden.npz",
        "SHA256SUMS",
        "../../../../etc/passwd",
        "embedded/browser/none.js",
        "",
    ):
        assert each_server.get(f"/bundles/{contents.card.name}/{path}").status == 404
    assert each_server.get("/bundles/none/embedded/browser/").status == 404
    assert each_server.ask("POST", address).status == 405


def test_a_bundle_without_a_page_gets_the_servers_own(bundle: Path) -> None:
    shutil.rmtree(bundle / "embedded/browser")
    with Server(rename(bundle, "bare"), "--format", FORMAT) as running:
        assert b"Models served here" in running.get("/").body
        assert running.get("/bundles/bare/embedded/browser/").status == 404


def test_a_folder_without_the_second_engine_is_one_sentence(archive: Path, tmp_path: Path) -> None:
    assert "is not a folder of onnxruntime-web" in failed(
        archive, "--format", "onnx_float32", "--onnxruntime-web", tmp_path
    )


@pytest.fixture
def digit(archive: Path, tmp_path: Path) -> Path:
    path = tmp_path / "digit.png"
    with np.load(io.BytesIO(Bundle(archive).read("golden.npz"))) as golden:
        path.write_bytes(png(golden["images"][0]))
    return path


def test_the_servers_own_page_lists_its_paths_and_predicts(
    server: Server, digit: Path, chromium: Any
) -> None:
    expected = server.ask("POST", "/predict", digit.read_bytes()).json["class"]
    page = chromium.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"http://{server.url}/docs")
    page.set_input_files("#picture", str(digit))
    page.wait_for_function("document.getElementById('answer').textContent !== ''")
    assert page.text_content("#answer") == f"It shows {expected}."
    assert "/v2/health/ready" in (page.text_content("#paths") or "")
    assert not faults


def test_a_picture_chosen_before_the_models_are_listed_is_answered(
    server: Server, digit: Path, chromium: Any
) -> None:
    page = chromium.new_page()
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/openapi.json", hold)
    page.goto(f"http://{server.url}/docs")
    while not held:
        page.wait_for_timeout(20)
    page.set_input_files("#picture", str(digit))
    held[0].continue_()
    page.wait_for_function("document.getElementById('answer').textContent !== ''")
    assert str(page.text_content("#answer")).startswith("It shows ")


def test_a_response_says_what_it_depends_on(each_server: Server) -> None:
    for path in ("/docs", "/openapi.json", "/v2", "/metrics", "/nowhere", "/"):
        assert each_server.get(path).headers["vary"] == "accept-encoding"
    unchanged = each_server.get("/bundles/mnist-digits/model_card.json").headers["etag"]
    answer = each_server.ask(
        "GET", "/bundles/mnist-digits/model_card.json", headers={"If-None-Match": unchanged}
    )
    assert (answer.status, answer.headers["vary"]) == (304, "accept-encoding")
    assert "content-length" not in answer.headers


APP = "https://app.example:8443"


PREFLIGHT = {
    "Origin": APP,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,authorization",
}


def test_a_page_of_another_origin_reads_nothing_by_default(
    each_server: Server,
) -> None:
    preflight = each_server.ask("OPTIONS", "/predict", headers=PREFLIGHT)
    assert preflight.status == 405
    for answer in (preflight, each_server.ask("GET", "/v2", headers={"Origin": APP})):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_page_of_an_allowed_origin_may_send_requests(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame")
    options = ["--allow-origin", APP, "--token-file", str(tmp_path / "token")]
    with Server(archive, "--format", FORMAT, *options) as running:
        preflight = running.ask("OPTIONS", "/predict", headers=PREFLIGHT)
        assert preflight.status == 204, "a preflight carries no token"
        assert preflight.headers["access-control-allow-origin"] == APP
        assert preflight.headers["access-control-allow-methods"] == "POST"
        assert preflight.headers["access-control-allow-headers"] == "content-type,authorization"
        assert "content-length" not in preflight.headers
        for path in ("/v2", "/nowhere"):
            refused = running.ask("GET", path, headers={"Origin": APP})
            assert refused.status in (401, 404)
            assert refused.headers["access-control-allow-origin"] == APP, "the page can read why"
        stranger = running.ask("GET", "/v2", headers={"Origin": "https://app.example"})
        assert "access-control-allow-origin" not in stranger.headers
        assert "origin" in stranger.headers["vary"]
        assert "origin" in running.get("/v2").headers["vary"]
        evil = {**PREFLIGHT, "Origin": "https://evil.example"}
        assert running.ask("OPTIONS", "/predict", headers=evil).status == 403
        assert running.ask("OPTIONS", "/nowhere", headers=PREFLIGHT).status == 404
        too_large = {"Content-Length": "99999999", "Origin": APP}
        refused = running.ask("POST", "/predict", headers=too_large)
        assert refused.headers["access-control-allow-origin"] == APP
    with Server(archive, "--format", FORMAT, "--allow-origin", "*") as running:
        answer = running.ask("GET", "/v2", headers={"Origin": APP})
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "origin", ["app.example", "https://app.example/path", "null", "https://", "ftp://app.example"]
)
def test_an_invalid_origin_is_one_sentence(archive: Path, origin: str) -> None:
    assert f"--allow-origin is '{origin}'" in failed(
        archive, "--allow-origin", origin, "--port", "0"
    )
    assert "--allow-host is 'http://a'" in failed(
        archive, "--allow-host", "http://a", "--port", "0"
    )


def test_with_a_token_only_health_is_open(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    with Server(archive, "--format", FORMAT, "--token-file", tmp_path / "token") as running:
        assert running.get("/v2/health/live").status == 200
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic " + base64.b64encode(b"open sesame").decode()},
        ):
            refused = running.ask("GET", "/v2", headers=headers)
            assert refused.status == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert list(refused.json) == ["error"]
        answer = running.ask("GET", "/v2", headers={"Authorization": "Bearer open sesame"})
        assert answer.status == 200
        assert {"authorization", "cookie", "accept"} <= set(answer.headers["vary"].split(", "))


def test_a_person_enters_the_token_once(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    with Server(archive, "--format", FORMAT, "--token-file", tmp_path / "token") as running:
        page = {"Accept": "text/html,*/*;q=0.8"}
        deep = "/bundles/mnist-digits/embedded/browser/"
        for path, action in (("/", "login"), ("/docs", "login"), (deep, "../../../../login")):
            form = running.ask("GET", path, headers=page)
            assert form.status == 401
            assert form.headers["content-type"] == "text/html; charset=utf-8"
            assert f'action="{action}"' in form.body.decode()
            assert f'name="page" type="hidden" value="{path[1:]}"' in form.body.decode()
        assert running.ask("GET", deep + "model.wasm").status == 401
        assert running.get("/login").status == 200
        wrong = running.ask("POST", "/login", b"token=wrong&page=docs")
        assert wrong.status == 401
        assert "not the token" in wrong.body.decode()
        assert "set-cookie" not in wrong.headers
        logged_in = running.ask("POST", "/login", b"token=open+sesame&page=docs")
        assert (logged_in.status, logged_in.headers["location"]) == (303, "./docs")
        cookie, *attributes = logged_in.headers["set-cookie"].split("; ")
        assert attributes == ["HttpOnly", "SameSite=Strict"]
        assert "sesame" not in cookie
        for path in ("/docs", "/openapi.json", deep, deep + "model.wasm"):
            assert running.ask("GET", path, headers={"Cookie": f"other=1; {cookie}"}).status == 200
        assert running.ask("GET", "/v2", headers={"Cookie": cookie[:-1] + "!"}).status == 401
        for target in (b"//evil.example", b"https://evil.example", b"%0d%0aX: y", b"../../x"):
            submitted = b"token=open+sesame&page=" + target
            location = running.ask("POST", "/login", submitted).headers["location"]
            assert urljoin("http://test/x/login", location).startswith("http://test/")
        for body in (b"\xff", b"&".join([b"a=b"] * 99), b""):
            assert running.ask("POST", "/login", body).status in (400, 401)
        hostile = running.ask("GET", '/docs?"><script>', headers=page).body.decode()
        assert "<script" not in hostile
