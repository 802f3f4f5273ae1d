import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from web.click_servers import photo_file

from minisam.checkpoint import save_checkpoint
from minisam.cli.main import main
from minisam.config import CONFIGS, build_from_config


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "nano.safetensors"
    save_checkpoint(build_from_config(CONFIGS["nano"]), path, metadata={})
    return path


def test_it_prints_the_address_and_ends_cleanly_with_ctrl_c(tmp_path, weights):
    photo = photo_file(tmp_path / "photo.png")
    words = ["click", str(photo), "--checkpoint", str(weights), "--no-browser"]
    process = subprocess.Popen(
        [sys.executable, "-m", "minisam.cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        assert process.stdout.readline() == "Close the page or press Ctrl-C to end.\n"
        with urllib.request.urlopen(f"{address}photos", timeout=20) as response:
            assert b'"photo.png"' in response.read()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, error) == (130, "minisam: interrupted\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png"]


@pytest.mark.parametrize("is_headless", [False, True])
def test_without_a_photo_there_is_a_drawn_scene_and_the_browser_is_opened_unless_it_is_not_wanted(
    monkeypatch, weights, capsys, is_headless
):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    photos = []

    def serve(self, poll_interval):
        photos.extend(self.routes.session.photos.all)

    monkeypatch.setattr("minisam.web.server.ClickServer.serve_forever", serve)
    words = ["--no-browser"] if is_headless else []
    assert main(["click", "--checkpoint", str(weights), *words]) == 0
    address = capsys.readouterr().out.split()[2]
    assert address.startswith("http://127.0.0.1:") and opened == ([] if is_headless else [address])
    assert [photo.name for photo in photos] == ["drawn scene.png"] and photos[0].pixels().std() > 20


def test_the_page_has_the_port_that_is_given(monkeypatch, weights, capsys):
    monkeypatch.setattr("minisam.web.server.ClickServer.serve_forever", lambda *_, **__: None)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert main(["click", "--checkpoint", str(weights), "--no-browser", "--port", str(port)]) == 0
    assert capsys.readouterr().out.startswith(f"minisam click: http://127.0.0.1:{port}/")


def test_one_line_says_what_is_wrong(tmp_path, weights, capsys, monkeypatch):
    monkeypatch.setattr("webbrowser.open", None)
    monkeypatch.setattr("minisam.web.server.ClickServer.serve_forever", None)
    (tmp_path / "words.png").write_text("no image")
    for image, code, words in (
        ("words.png", 3, "not an image"),
        ("none.png", 3, "no such image file"),
        (".", 3, "a folder"),
    ):
        assert main(["click", str(tmp_path / image), "--checkpoint", str(weights)]) == code
        error = capsys.readouterr().err
        assert error.startswith("minisam: ") and error.count("\n") == 1 and words in error
    assert main(["click", "--checkpoint", str(tmp_path / "words.png")]) == 3
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["click", "--checkpoint", str(weights), "--port", port]) == 2
    assert (
        f"port {port}: address already in use; choose another with --port" in capsys.readouterr().err.lower()
    )
