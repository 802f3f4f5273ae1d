"""The server as a browser, and as an attacker, sees it; the page itself is in test_page.py."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image
from web.click_servers import photo_file, random_session, running

from minisam.masks.rle import decode_rle
from minisam.web import guard
from minisam.web.prompt import read_prompt
from minisam.web.server import reason_of


@pytest.fixture
def server(tmp_path):
    session = random_session()
    session.photos.open(photo_file(tmp_path / "one.png"))
    session.photos.open(photo_file(tmp_path / "two.png", 40, 40))
    dropped = tmp_path / "dropped"
    dropped.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    with running(session, dropped) as server:
        yield server


def ask(server, method, path, body=None, headers=None, token=None):
    """(status, content): JSON is read."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        token = server.token if token is None else token
        connection.request(method, f"/{token}/{path}", body, headers or {})
        response = connection.getresponse()
        content = response.read()
        is_json = response.getheader("Content-Type") == "application/json"
        return response.status, json.loads(content) if is_json else content
    finally:
        connection.close()


def prompt(*points, **more):
    return json.dumps({"points": [list(point) for point in points], **more})


def test_the_page_and_its_parts(server):
    status, page = ask(server, "GET", "")
    assert status == 200 and b"server_model.js" in page
    for name in ("click.js", "click.css", "server_model.js"):
        status, content = ask(server, "GET", name)
        assert status == 200 and len(content) > 500


def test_the_address_is_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/{server.token}/"
    assert len(server.token) >= 32


def test_photos_are_listed_and_shown(server):
    status, photos = ask(server, "GET", "photos")
    assert status == 200 and [photo["name"] for photo in photos] == ["one.png", "two.png"]
    assert photos[0] == {"id": 0, "name": "one.png", "width": 50, "height": 30, "url": "photos/0"}
    status, image = ask(server, "GET", "photos/1")
    assert status == 200 and image.startswith(b"\xff\xd8")


def test_a_click_gives_three_masks_and_hovering_the_best(server):
    assert ask(server, "POST", "photos/0/encode", "{}") == (200, {})
    status, three = ask(server, "POST", "photos/0/decode", prompt((10, 10, 1)))
    assert status == 200 and len(three["masks"]) == len(three["iou"]) == 3
    assert decode_rle(three["masks"][0]).shape == (30, 50)
    status, one = ask(server, "POST", "photos/0/decode", prompt((10, 10, 1), best=True))
    best = int(np.argmax(three["iou"]))
    assert one["masks"] == [three["masks"][best]] and one["iou"] == [three["iou"][best]]


def test_a_result_lies_beside_the_photo(server, tmp_path):
    _, three = ask(server, "POST", "photos/0/decode", prompt((10, 10, 1)))
    index = next(n for n, mask in enumerate(three["masks"]) if decode_rle(mask).any())
    before = (tmp_path / "one.png").read_bytes()
    for name in ("one_mask.png", "one_mask_2.png"):
        status, saved = ask(server, "POST", "photos/0/save", prompt((10, 10, 1), index=index, kind="mask"))
        assert status == 200 and saved == {"saved": name, "folder": str(tmp_path)}
        with Image.open(tmp_path / name) as image:
            assert np.array_equal(np.array(image) > 0, decode_rle(three["masks"][index]))
    assert (tmp_path / "one.png").read_bytes() == before


def test_a_result_has_the_size_of_the_photo_and_not_of_the_page(server, tmp_path, monkeypatch):
    monkeypatch.setattr("minisam.web.photos.LONGEST_SHOWN", 20)  # of 50 x 30 pixels
    monkeypatch.setattr("minisam.web.photos.LONGEST_PREVIEWED", 10)
    click = (8, 6, 1)
    _, three = ask(server, "POST", "photos/0/decode", prompt(click))
    assert decode_rle(three["masks"][0]).shape == (12, 20)
    _, one = ask(server, "POST", "photos/0/decode", prompt(click, best=True))
    assert decode_rle(one["masks"][0]).shape == (6, 10)
    index = next(n for n, mask in enumerate(three["masks"]) if decode_rle(mask).any())
    wanted = server.routes.session.decode(
        server.routes.session.photos.all[0], read_prompt({"points": [list(click)]}), size=(30, 50)
    )
    for kind, name in (("mask", "one_mask.png"), ("cutout", "one_cutout.png"), ("coco", "one_coco.json")):
        assert ask(server, "POST", "photos/0/save", prompt(click, index=index, kind=kind))[0] == 200
        assert (tmp_path / name).is_file()
    with Image.open(tmp_path / "one_mask.png") as image:
        assert np.array_equal(np.array(image) > 0, wanted[0][index])
    entry = json.loads((tmp_path / "one_coco.json").read_text())["images"][0]
    assert (entry["width"], entry["height"]) == (50, 30)


def test_a_dropped_photo(server, tmp_path):
    content = photo_file(tmp_path / "three.png", 20, 20).read_bytes()
    status, photo = ask(server, "POST", "photos?name=..%2F..%2Fthree.png", content)
    assert status == 200 and (photo["name"], photo["id"]) == ("three.png", 2)
    _, three = ask(server, "POST", "photos/2/decode", prompt((5, 5, 1)))
    index = next(n for n, mask in enumerate(three["masks"]) if decode_rle(mask).any())
    assert ask(server, "POST", "photos/2/save", prompt((5, 5, 1), index=index, kind="coco"))[0] == 200
    assert [path.name for path in (tmp_path / "dropped").iterdir()] == ["three_coco.json"]


@pytest.mark.parametrize("token", ["", "x", "x" * 32, "é"])
def test_without_the_token_there_is_nothing(server, token):
    for method, path in (("GET", ""), ("GET", "photos"), ("GET", "click.js"), ("POST", "photos/0/encode")):
        status, content = ask(
            server, method, path, "{}" if method == "POST" else None, token=token and quote(token)
        )
        assert status == 403 and "token" in content["error"]


def quote(text):
    from urllib.parse import quote

    return quote(text)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "..%2fsecret.txt",
        "%2e%2e/secret.txt",
        "//etc/passwd",
        "click.js/../../../secret.txt",
        "page/click.js",
        "routes.py",
        "photos/../secret.txt",
        "photos/2",
        "photos/-1",
        "photos/1e0",
        "photos/٣",
        "photos/9999999999999999999999",
        "photos/one.png",
        "photos/0/",
        "photos/",
        "C:/secret.txt",
        "index.html%00.png",
    ],
)
def test_no_path_leads_to_another_file(server, path):
    from urllib.parse import quote

    assert ask(server, "GET", quote(path, safe="/%:"))[0] == 404
    assert ask(server, "POST", quote(path, safe="/%:"), "{}")[0] == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Host": "LOCALHOST:{port}", "Origin": "http://localhost:{port}"}, 200),
    ],
)
def test_another_host_or_another_page_is_refused(server, headers, status):
    headers = {name: value.format(port=server.server_port) for name, value in headers.items()}
    assert ask(server, "GET", "photos", headers=headers)[0] == status
    assert ask(server, "POST", "photos/0/encode", "{}", headers)[0] == status


def test_headers_keep_the_address_secret(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request("GET", f"/{server.token}/")
    headers = connection.getresponse().headers
    connection.close()
    assert headers["Referrer-Policy"] == "no-referrer" and headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert "Access-Control-Allow-Origin" not in headers and "Python" not in headers["Server"]


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("photos/0/decode", "{", "JSON object"),
        ("photos/0/decode", "[" * 100_000, "JSON object"),
        ("photos/0/decode", b"\xff", "JSON object"),
        ("photos/0/decode", "{}", "needs a point or a box"),
        ("photos/0/decode", prompt((500, 1, 1)), "outside the image"),
        ("photos/0/decode", '{"boxes": [[5, 5, 5, 9]]}', "area"),
        ("photos/0/save", prompt((1, 1, 1), kind="mask"), "index"),
        ("photos/0/save", prompt((1, 1, 1), kind="mask", index=True), "index"),
        ("photos/0/save", prompt((1, 1, 1), kind="mask", index=3), "index"),
        ("photos/0/save", prompt((1, 1, 1), kind="mask", index=-1), "index"),
        ("photos/0/save", prompt((1, 1, 1), kind="/etc/passwd", index=0), "one of mask, coco, cutout"),
        ("photos?name=a.png", "no image", "not an image"),
    ],
)
def test_bad_content_is_one_line_and_no_end(server, path, body, reason):
    status, content = ask(server, "POST", path, body)
    assert status == 400 and reason in content["error"] and "\n" not in content["error"]
    assert ask(server, "GET", "photos")[0] == 200


def test_sizes_are_limited(server, monkeypatch):
    monkeypatch.setattr("minisam.web.server.LARGEST_PHOTO", 2000)
    assert ask(server, "POST", "photos?name=a", b"x" * 2001)[0] == 413
    assert ask(server, "POST", "photos?name=a", b"x" * 2000)[0] == 400  # no image
    assert (
        ask(server, "POST", "photos/0/decode", None, {"Content-Length": str(guard.LARGEST_MESSAGE + 1)})[0]
        == 413
    )
    assert ask(server, "POST", "photos/0/decode", None, {"Content-Length": "-1"})[0] == 411
    assert ask(server, "POST", "photos/0/decode", None, {"Content-Length": "9" * 5000})[0] == 413
    assert ask(server, "POST", "photos/0/decode", iter([b"{}"]), {"Transfer-Encoding": "chunked"})[0] == 411
    monkeypatch.setattr("minisam.web.server.LARGEST_MESSAGE", 100)
    assert ask(server, "POST", "photos/0/decode", b" " * 101)[0] == 413
    assert ask(server, "POST", "photos/0/decode", b" " * 100)[0] == 400  # no object


def test_a_refused_body_is_no_second_request(server):
    hidden = f"GET /{server.token}/photos HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n"
    request = (
        f"POST /wrong/photos HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n"
        f"Content-Length: {len(hidden)}\r\n\r\n{hidden}"
    )
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
        connection.sendall(request.encode())
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert received.count(b"HTTP/1.1 ") == 1 and b" 403 " in received.partition(b"\r\n")[0]


def test_other_methods_are_unknown(server):
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        assert ask(server, method, "photos")[0] == 501


def test_a_photo_that_is_gone_is_named(server, tmp_path):
    (tmp_path / "two.png").unlink()
    status, content = ask(server, "POST", "photos/1/encode", "{}")
    assert status == 400 and "two.png" in content["error"]


def test_a_folder_that_cannot_be_written_to_is_named(server, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied", "/somewhere/one_mask.png")

    monkeypatch.setattr("minisam.web.routes.save_result", refuse)
    status, content = ask(server, "POST", "photos/0/save", prompt((1, 1, 1), index=0, kind="mask"))
    assert (status, content) == (500, {"error": "one_mask.png: permission denied"})


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RuntimeError("no memory\nat a line"), "no memory"),
        (RuntimeError(), "RuntimeError"),
        (MemoryError("\nmore"), "MemoryError"),
        (PermissionError(13, "Permission denied", "/a/b.png"), "b.png: permission denied"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    ],
)
def test_an_error_of_the_system_is_one_line_and_never_empty(error, line):
    assert reason_of(error) == line


def test_two_tabs_at_once_get_the_same_masks(server):
    alone = [ask(server, "POST", "photos/0/decode", prompt((5 * n, 10, 1))) for n in range(1, 6)]
    answers: dict[int, list] = {}

    def click(tab):
        answers[tab] = [ask(server, "POST", "photos/0/decode", prompt((5 * n, 10, 1))) for n in range(1, 6)]

    tabs = [threading.Thread(target=click, args=(tab,)) for tab in range(2)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert answers[0] == answers[1] == alone


def test_a_request_whose_page_is_gone_is_dropped(server, monkeypatch):
    """While the network works for another tab, a page sends a request and is closed."""
    ask(server, "POST", "photos/0/encode", "{}")
    decoded = []
    run = server.routes.session._decode
    monkeypatch.setattr(server.routes.session, "_decode", lambda *args: decoded.append(args) or run(*args))
    free = threading.Event()
    server.routes.session.worker.submit(free.wait)
    body = prompt((5, 5, 1))
    request = (
        f"POST /{server.token}/photos/0/decode HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as connection:
        connection.sendall(request.encode())
        until(lambda: server.routes.session.worker._work_queue.qsize() == 1)
    free.set()
    assert ask(server, "POST", "photos/0/decode", prompt((6, 6, 1)))[0] == 200
    assert [args[1].points.tolist() for args in decoded] == [[[6, 6]]]


def test_a_closed_connection_leaves_no_thread(server):
    before = threading.active_count()
    connections = [socket.create_connection(("127.0.0.1", server.server_port)) for _ in range(5)]
    until(lambda: threading.active_count() == before + 5)
    for connection in connections:
        connection.close()
    until(lambda: threading.active_count() == before)


def test_the_server_ends_when_the_last_page_is_closed(tmp_path):
    with running(random_session(), tmp_path) as server:
        server.tabs.grace = 0.05
        ended = threading.Event()
        shutdown = server.shutdown
        server.shutdown = lambda: (shutdown(), ended.set())
        assert ask(server, "POST", "tabs/a", "")[0] == 200
        assert not ended.wait(0.2)
        assert ask(server, "POST", "tabs/a/close", "")[0] == 200
        assert ended.wait(10)


def until(holds, seconds=20.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)
