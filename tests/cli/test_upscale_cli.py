"""`anysr upscale`: files and folders, in this process and through a service, and errors."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cli.main import app
from models.architectures.registry import build_network
from models.catalog import register
from models.export import export_model
from models.network_file import save_network
from models.spec import NetworkSpec
from tests.support.marked_pictures import AUTHOR, CAMERA, jpeg
from tests.support.service import running_service


@pytest.fixture
def folder(tmp_path):
    """Two pictures, one of them in a subfolder."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    Image.fromarray(pixels).save(source / "a.png")
    Image.fromarray(pixels).save(source / "deep" / "b.jpg")
    return source


@pytest.fixture(scope="module")
def cleaning(tmp_path_factory):
    """A folder of one model that takes a strength."""
    folder = tmp_path_factory.mktemp("models")
    args = {"channels": 8, "blocks": 1, "basis": 4, "widths": [8]}
    spec = NetworkSpec("conditioned", args)
    save_network(folder / "trained.safetensors", spec, build_network(spec))
    register(folder, export_model(folder / "trained.safetensors", folder, "cleaner", "A test."))
    return folder


def run(*arguments, **environment):
    environment = {"COLUMNS": "200", **environment}
    return CliRunner().invoke(app, ["upscale", *map(str, arguments)], env=environment)


def size(path):
    with Image.open(path) as image:
        return image.format, image.size


def test_one_file_to_one_file_in_the_format_of_its_name(folder, tmp_path):
    result = run(folder / "a.png", "-o", tmp_path / "out.webp", "--scale", 2.37)
    assert result.exit_code == 0, result.output
    assert size(tmp_path / "out.webp") == ("WEBP", (71, 47))
    assert "anysr-m at width 1 (widest)" in result.output


def test_a_folder_keeps_its_structure_names_and_formats(folder, tmp_path):
    result = run(folder, "-o", tmp_path / "out", "--width", 45)
    assert result.exit_code == 0, result.output
    assert size(tmp_path / "out" / "a.png") == ("PNG", (45, 30))
    assert size(tmp_path / "out" / "deep" / "b.jpg") == ("JPEG", (45, 30))


@pytest.mark.usefixtures("cached_costs")
def test_a_budget_is_kept_in_this_process_too(folder, tmp_path):
    result = run(folder / "a.png", "-o", tmp_path / "o.png", "--scale", 2, "--budget-ms", 30_000)
    assert result.exit_code == 0, result.output
    assert "(widest)" in result.output


def test_a_bad_file_is_reported_and_the_others_are_processed(folder, tmp_path):
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nonsense")
    result = run(folder, "-o", tmp_path / "out", "--scale", 2)
    assert result.exit_code == 1
    assert "broken.png" in result.output
    assert size(tmp_path / "out" / "a.png") == ("PNG", (60, 40))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scale", "0"], "scale"),
        ([], "scale"),
        (["--scale", "2", "--width", "50"], "exactly one"),
        (["--scale", "2", "--model", "esrgan"], "esrgan"),
        (["--scale", "nan"], "scale"),
        (["--scale", "2", "--strength", "1.1"], "auto or a number from 0 to 1, got '1.1'"),
        (["--scale", "2", "--strength", "much"], "auto or a number from 0 to 1, got 'much'"),
    ],
)
def test_wrong_options_are_reported_before_the_first_run(folder, tmp_path, options, words):
    result = run(folder / "a.png", "-o", tmp_path / "out.png", *options)
    assert result.exit_code == 2
    assert words in result.output
    assert not (tmp_path / "out.png").exists()


def test_several_inputs_need_an_output_folder(folder, tmp_path):
    result = run(folder, "-o", tmp_path / "out.png", "--scale", 2)
    assert result.exit_code == 2
    assert "one file" in result.output


def test_a_missing_input_is_reported(tmp_path):
    result = run(tmp_path / "nowhere.png", "-o", tmp_path / "out.png", "--scale", 2)
    assert result.exit_code == 2
    assert "nowhere.png" in result.output


@pytest.mark.parametrize(
    ("options", "kept"),
    [([], {AUTHOR}), (["--metadata", "keep"], {AUTHOR, CAMERA}), (["--metadata", "none"], set())],
)
def test_metadata_is_as_chosen(tmp_path, options, kept):
    (tmp_path / "in.jpg").write_bytes(jpeg("RGB"))
    result = run(tmp_path / "in.jpg", "-o", tmp_path / "out.png", "--scale", 1.5, *options)
    assert result.exit_code == 0, result.output
    made = (tmp_path / "out.png").read_bytes()
    assert {word for word in (AUTHOR, CAMERA) if word.encode() in made} == kept


def draw_kinds(folder):
    """Pictures of kinds that take different code paths."""
    rng = np.random.default_rng(1)
    colour = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    Image.fromarray(colour).save(folder / "alpha.png")
    Image.fromarray(colour[:, :, 0]).save(folder / "grey.jpg")
    Image.fromarray(colour[:, :, :3]).quantize(16).save(folder / "palette.png")
    Image.fromarray(rng.integers(0, 65536, (20, 30), dtype=np.uint16)).save(folder / "deep.png")
    Image.fromarray(colour[:, :, :3]).save(folder / "turned.jpg", exif=exif)


def assert_same_picture(local, remote):
    with Image.open(local) as one, Image.open(remote) as other:
        assert (one.format, one.mode, one.size) == (other.format, other.mode, other.size)
        assert one.info.get("exif") == other.info.get("exif")
        difference = np.asarray(one).astype(int) - np.asarray(other).astype(int)
        step = 256 if one.mode.startswith("I") else 1
        assert np.abs(difference).max() <= step


def test_through_a_service(folder, tmp_path, service_url):
    draw_kinds(folder)
    pinned = ["--scale", 1.7, "--model", "anysr-s"]
    server = ["--server", service_url]
    result = run(folder, "-o", tmp_path / "out", *pinned, *server)
    refused = run(folder / "a.png", "-o", tmp_path / "x.png", "--scale", 9, *server)
    local = run(folder, "-o", tmp_path / "local", *pinned, ANYSR_RUNTIME="onnx")
    assert local.exit_code == 0, local.output
    made = sorted(p.relative_to(tmp_path / "local") for p in (tmp_path / "local").rglob("*.*"))
    assert len(made) == 7
    for path in made:
        assert_same_picture(tmp_path / "local" / path, tmp_path / "out" / path)
    assert result.exit_code == 0, result.output
    assert size(tmp_path / "out" / "deep" / "b.jpg") == ("JPEG", (51, 34))
    assert "deadline met" in result.output
    assert refused.exit_code == 1
    assert "from 1 to 8" in refused.output


@pytest.mark.parametrize(
    ("options", "picture", "words"),
    [
        ([], "a.png", "(widest), "),
        ([], "worst.jpg", "(widest), cleaned up at strength 1, "),
        (["--strength", "auto"], "worst.jpg", "(widest), cleaned up at strength 1, "),
        (["--strength", "0"], "worst.jpg", "(widest), "),
        (["--strength", "0.5"], "a.png", "(widest), cleaned up at strength 0.5, "),
    ],
)
def test_the_summary_has_the_strength(folder, tmp_path, cleaning, options, picture, words):
    with Image.open(folder / "a.png") as image:
        image.save(folder / "worst.jpg", quality=30)
    output = ["-o", tmp_path / "out.png", "--scale", 2]
    result = run(folder / picture, *output, *options, ANYSR_MODELS=str(cleaning))
    assert result.exit_code == 0, result.output
    assert re.search(rf"cleaner at width 1 {re.escape(words)}\d+ ms", result.output)


def test_the_strength_is_sent_to_a_service_and_shown_from_its_answer(folder, tmp_path, cleaning):
    out = ["-o", tmp_path / "out.png", "--scale", 2, "--budget-ms", 30_000]
    with running_service(ANYSR_MODELS=str(cleaning)) as url:
        given = run(folder / "a.png", *out, "--strength", 0.5, "--server", url)
        clean = run(folder / "a.png", *out, "--overwrite", "--server", url)
    assert "(widest), cleaned up at strength 0.5, " in given.output
    assert clean.exit_code == 0, clean.output
    assert "cleaned up" not in clean.output


def test_a_model_without_strength_cleans_nothing_up(folder, tmp_path):
    out = ["-o", tmp_path / "out.png", "--scale", 2, "--model", "anysr-edsr-liif"]
    result = run(folder / "a.png", *out, "--strength", 1)
    assert result.exit_code == 0, result.output
    assert "cleaned up" not in result.output


def test_an_unreachable_service_is_reported(folder, tmp_path):
    url = "http://127.0.0.1:9"
    result = run(folder / "a.png", "-o", tmp_path / "x.png", "--scale", 2, "--server", url)
    assert result.exit_code == 1
    assert "cannot be reached" in result.output


class Loading(BaseHTTPRequestHandler):
    """A service that loads the model at its first request."""

    asked = 0
    keys: ClassVar[set[str | None]] = set()

    def do_POST(self) -> None:
        type(self).asked += 1
        self.keys.add(self.headers["Authorization"])
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.asked == 1:
            body, facts = b'{"code": "not_ready", "detail": "Loading."}', {"Retry-After": "0"}
            self.send_response(503)
        else:
            body = b"picture"
            facts = {
                "Content-Type": "image/png",
                "X-Request-ID": "0f8fad5bd9cb469fa16570867728950e",
                "X-AnySR-Scale": "2",
                "X-AnySR-Budget-Ms": "1000.0",
                "X-AnySR-Model": "rare",
                "X-AnySR-Width": "1",
                "X-AnySR-Reason": "pinned",
                "X-AnySR-Elapsed-Ms": "7",
                "X-AnySR-Deadline": "met",
            }
            self.send_response(200)
        for name, value in {**facts, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write no log line."""


def test_the_request_is_repeated_while_the_service_loads_the_model(folder, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Loading) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        wanted = [folder / "a.png", "-o", tmp_path / "x.png", "--scale", 2, "--server", url]
        result = run(*wanted, ANYSR_KEY="anysr_key")
        server.shutdown()
    assert result.exit_code == 0, result.output
    assert (tmp_path / "x.png").read_bytes() == b"picture"
    assert Loading.asked == 2
    assert Loading.keys == {"Bearer anysr_key"}
