"""Hostile and damaged files: each is refused at once with one sentence and leaves nothing behind,
and its refusal allocates no more memory than the file has bytes."""

import contextlib
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from typer.testing import CliRunner

from cli.main import app
from models.architectures.registry import build_network
from models.convert import from_public, read_ours, read_public
from models.layouts.public_file import MOST_TENSORS
from models.network_file import SPEC_KEY, save_network
from models.spec import NetworkSpec
from models.weights_file import skeleton
from models.wrong_file import WrongFile

CHANNELS = 4
LIIF = {
    "name": "liif",
    "args": {
        "encoder_spec": {"name": "edsr-baseline", "args": {"no_upsampling": True}},
        "imnet_spec": {"name": "mlp", "args": {"out_dim": 3, "hidden_list": [8]}},
    },
}


def conv(name, inputs, outputs, make=torch.randn):
    weight = make(outputs, inputs, 3, 3)
    return {f"{name}.weight": weight, f"{name}.bias": make(outputs)}


def liif_tensors(channels=CHANNELS, make=torch.randn):
    torch.manual_seed(0)
    tensors = conv("encoder.head.0", 3, channels, make)
    tensors |= conv("encoder.body.1", channels, channels, make)
    for name in ("body.0", "body.2"):
        tensors |= conv(f"encoder.body.0.{name}", channels, channels, make)
    for place, (inputs, outputs) in enumerate(((9 * channels + 4, 8), (8, 3))):
        tensors[f"imnet.layers.{2 * place}.weight"] = make(outputs, inputs)
        tensors[f"imnet.layers.{2 * place}.bias"] = make(outputs)
    return tensors


def one_number(*size):
    """A tensor whose strides put one number at very many places."""
    return torch.ones(1).expand(size)


def saved(content, **how):
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def checkpoint(tensors, **how):
    return saved({"model": {**LIIF, "sd": tensors}}, **how)


def changed(**tensors):
    return checkpoint(liif_tensors() | {n.replace("__", "."): t for n, t in tensors.items()})


def without(*names):
    return checkpoint({n: t for n, t in liif_tensors().items() if n not in names})


def repacked(change, compression=zipfile.ZIP_STORED):
    """A good archive with its entries, by name, put through `change`."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(checkpoint(liif_tensors()))) as good,
        zipfile.ZipFile(buffer, "w", compression) as made,
    ):
        for name in good.namelist():
            made.writestr(name, change(name, good.read(name)))
    return buffer.getvalue()


def with_pickle(content):
    return repacked(lambda name, data: content if name.endswith("data.pkl") else data)


def of_pickle(*parts):
    return with_pickle(b"\x80\x02" + b"".join(parts) + b".")


def shared(depth):
    """A key of nested pairs; hashing it takes 2 ** depth steps."""
    steps = b"".join(
        b"h" + bytes([n]) + b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(depth)
    )
    return b"}K\x01q\x00" + steps + b"K\x01s"


def named(name, *arguments):
    module, _, attribute = name.rpartition(".")
    return f"c{module}\n{attribute}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def texts(count):
    return (b"X\x01\x00\x00\x00%c" % (65 + n % 26) for n in range(count))


DEFIAN = {
    "input.weight": torch.randn(4, 3, 3, 3),
    "body.0.hessian3.0.grad_xx.weight": torch.randn(4, 1, 3, 3),
}
CIAOSR = {
    "generator.imnet_q.layers.0.weight": torch.randn(8, 40),
    "generator.conv_first.weight": torch.randn(4, 3, 3, 3),
}
SRNO = {
    "encoder.head.0.weight": torch.randn(4, 3, 3, 3),
    "conv00.weight": torch.randn(8, 26, 1, 1),
}
SRNO_SPEC = {"name": "sronet", "args": {"encoder_spec": {"name": "edsr-baseline", "args": {}}}}


FACTOR = {
    "name": "liif",
    "args": {"encoder_spec": {"name": "edsr-baseline", "args": {"res_scale": 10**9999}}},
}
VIEW = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQK\x00"
)
"""The beginning of a tensor: one number, from its start on. Its size and its strides follow."""


def srno(**more):
    tensors = SRNO | {name.replace("__", "."): tensor for name, tensor in more.items()}
    return saved({"model": {**SRNO_SPEC, "sd": tensors}})


HOSTILE: dict[str, Callable[[], bytes]] = {
    "an empty file": lambda: b"",
    "text": lambda: b"no checkpoint at all\n",
    "a line feed": lambda: b"\n",
    "zeros": lambda: bytes(4096),
    "an empty archive": lambda: b"PK\x05\x06" + bytes(18),
    "half an archive": lambda: checkpoint(liif_tensors())[:5000],
    "a plain pickle": lambda: pickle.dumps({"x": 1}, protocol=2),
    "a pickle of protocol 5": lambda: pickle.dumps({"model": {"sd": {}}}),
    "a number": lambda: saved(3),
    "no tensors": lambda: saved({"model": {"sd": {}}}),
    "texts for tensors": lambda: saved({"a": "b"}),
    "tensors in a list": lambda: saved([torch.zeros(1)]),
    "numbers for names": lambda: saved({3: torch.zeros(3)}),
    "odd names": lambda: saved({"\ud800\x1b[31m": torch.zeros(3)}),
    "whole numbers": lambda: changed(imnet__layers__0__bias=torch.zeros(8, dtype=torch.int64)),
    "complex numbers": lambda: changed(
        imnet__layers__0__bias=torch.zeros(8, dtype=torch.complex64)
    ),
    "no number": lambda: changed(imnet__layers__0__bias=torch.full((8,), torch.nan)),
    "infinity": lambda: changed(encoder__body__0__body__0__bias=torch.tensor([0, 0, torch.inf, 0])),
    "half a layer": lambda: without("imnet.layers.0.bias"),
    "no first layer": lambda: without("imnet.layers.0.weight", "imnet.layers.2.weight"),
    "one dimension": lambda: changed(encoder__head__0__weight=torch.zeros(4)),
    "no dimension": lambda: changed(encoder__head__0__weight=torch.tensor(1.0)),
    "no layer": lambda: without("imnet.layers.2.weight", "imnet.layers.2.bias"),
    "an empty tensor": lambda: changed(encoder__head__0__weight=torch.zeros(0, 3, 3, 3)),
    "one unit": lambda: changed(imnet__layers__0__weight=torch.zeros(1, 40)),
    "one number for a network": lambda: checkpoint(liif_tensors(4000, one_number)),
    "one number for a layer": lambda: changed(encoder__head__0__bias=one_number(4_000_000_000)),
    "one number for many layers": lambda: checkpoint(
        liif_tensors() | {f"x.{n}": one_number(9, 500) for n in range(100)}
    ),
    "too many tensors": lambda: saved({f"x.{n}": torch.zeros(1) for n in range(MOST_TENSORS + 1)}),
    "a sparse tensor": lambda: changed(imnet__layers__0__bias=torch.zeros(8).to_sparse()),
    "DeFiAN without an upscaler": lambda: saved({"state_dict": DEFIAN}),
    "DeFiAN at no scale": lambda: saved({"state_dict": DEFIAN | conv("upscale.0.0", 4, 20)}),
    "CiaoSR's two thousand thousandth block": lambda: saved(
        CIAOSR | {"generator.body.2000000.conv1.weight": torch.zeros(4, 4, 3, 3)}
    ),
    "a block with a number of a thousand digits": lambda: saved(
        CIAOSR | {f"generator.body.{'9' * 1000}.conv1.weight": torch.zeros(4)}
    ),
    "a factor of thousands of digits": lambda: saved({"model": {**FACTOR, "sd": liif_tensors()}}),
    "a size of thousands of digits": lambda: of_pickle(
        VIEW + b"(\x8b\x00\x08\x00\x00" + b"\x7f" * 2048 + b"tq\x00h\x00tR"
    ),
    "SRNO without normalisation": lambda: srno(),
    "SRNO without heads": lambda: srno(conv0__kln__weight=torch.zeros(3, 1, 2)),
    "SRNO of one dimension": lambda: srno(conv0__kln__weight=torch.zeros(3)),
    "an inflated archive": lambda: repacked(lambda _, data: data, zipfile.ZIP_DEFLATED),
    "a bomb": lambda: repacked(lambda _, data: data + bytes(1 << 22), zipfile.ZIP_DEFLATED),
    "numbers cut off": lambda: repacked(lambda name, data: data[:8] if "/data/" in name else data),
    "numbers of another machine": lambda: repacked(
        lambda name, data: b"big" if name.endswith("byteorder") else data
    ),
    "no pickle in the archive": lambda: with_pickle(b""),
    "a pickle of nothing": lambda: with_pickle(b"."),
    "a long pickle": lambda: with_pickle(b"\x80\x02" + b"N" * (1 << 22) + b"."),
    "a mark alone": lambda: of_pickle(b"t"),
    "what was never kept": lambda: of_pickle(b"h\x05"),
    "a call of a call": lambda: of_pickle(b"}", named("os.system", *texts(1)), b"R"),
    "a key that takes forever": lambda: of_pickle(shared(60)),
    "fourteen gigabytes": lambda: of_pickle(named("__builtin__.bytearray", number(14 * 10**9))),
    "a tensor of a tensor": lambda: of_pickle(named("torch._utils._rebuild_tensor_v2", *texts(4))),
    "a storage of nothing": lambda: of_pickle(b"X\x01\x00\x00\x00aQ"),
    "a text of a terabyte": lambda: of_pickle(b"\x8d" + struct.pack("<Q", 1 << 40)),
    "kept at the two thousand millionth place": lambda: of_pickle(b"}r\xff\xff\xff\x7f"),
}


@pytest.fixture
def convert(tmp_path):
    """Run the command on a file with this content; its files and its output after it failed."""

    def run(content, suffix=".pth", target="made.safetensors"):
        source = tmp_path / f"source{suffix}"
        source.write_bytes(content)
        result = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / target)])
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == 1
        assert sorted(tmp_path.iterdir()) == [source]
        assert len(result.output) < 600
        assert "weights_only" not in result.output
        assert result.output.startswith("Conversion failed: ")
        return result.output

    return run


def resident(field):
    """Bytes of memory that this process holds (VmRSS), or has held at most (VmHWM)."""
    (line,) = (t for t in Path("/proc/self/status").read_text().splitlines() if field in t)
    return 1024 * int(line.split()[1])


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """What torch loads when it first makes a network without numbers."""
    path = tmp_path_factory.mktemp("good") / "good.pth"
    path.write_bytes(checkpoint(liif_tensors()))
    public = read_public(path)
    return from_public(public.tensors, public.spec)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_in_a_sentence(kind, convert):
    convert(HOSTILE[kind]())


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    "kind", [kind for kind in HOSTILE if "gigabytes" in kind or "for a" in kind or "bomb" in kind]
)
def test_a_hostile_file_takes_no_memory(kind, convert):
    content = HOSTILE[kind]()
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = resident("VmRSS")
    convert(content)
    assert resident("VmHWM") - before < 1 << 26


@pytest.mark.parametrize("kind", ["no number", "one number for a network", "half a layer"])
def test_the_same_holds_in_the_older_format(kind, convert):
    content = torch.load(io.BytesIO(HOSTILE[kind]()), weights_only=True)
    convert(saved(content, _use_new_zipfile_serialization=False))


def test_an_older_file_that_is_cut_off_is_refused(convert):
    content = checkpoint(liif_tensors(), _use_new_zipfile_serialization=False)
    for length in (20, 500, len(content) // 2, len(content) - 1):
        assert "checkpoint" in convert(content[:length]) or length


def test_the_valid_file_that_hostile_ones_derive_from_is_accepted(warm):
    assert warm[0].args["head"] == {"name": "liif", "args": {"hidden": 8, "layers": 1}}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_taken_where_nothing_is_lost(dtype, tmp_path, convert):
    tensors = {name: t.half().bfloat16().to(dtype) for name, t in liif_tensors().items()}
    (tmp_path / "other.pth").write_bytes(checkpoint(tensors))
    read = read_public(tmp_path / "other.pth").tensors
    assert all(read[name].dtype == torch.float32 for name in tensors)
    assert all(torch.equal(read[name].to(dtype), tensor) for name, tensor in tensors.items())
    (tmp_path / "other.pth").unlink()
    if dtype == torch.float64:
        tensors["imnet.layers.0.bias"] += 1e-12
        said = convert(checkpoint(tensors))
        assert "imnet.layers.0.bias is in double precision, and would be rounded" in said


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harmed"),)


def test_what_a_file_names_is_not_called(tmp_path, monkeypatch, convert):
    monkeypatch.chdir(tmp_path)
    convert(saved({"model": {"sd": {"x": Harmful()}}}))
    # It is harmless beside the tensors, too: only they are constructed.
    content = {"model": {**LIIF, "sd": liif_tensors()}, "x": Harmful()}
    (tmp_path / "beside.pth").write_bytes(saved(content))
    assert read_public(tmp_path / "beside.pth").tensors.keys() == liif_tensors().keys()
    assert not (tmp_path / "harmed").exists()


def ours(header=None, tensors=None, **headers):
    """A weights file of ours, with anything in its header."""
    text = header if isinstance(header, str) else json.dumps(header)
    return {"tensors": tensors or {"a": torch.zeros(3)}, "metadata": {SPEC_KEY: text, **headers}}


def composed(encoder, head):
    return {"name": "composed", "args": {"encoder": encoder, "head": head}}


EDSR = {"name": "edsr", "args": {"channels": 4, "blocks": 1}}
HOSTILE_OURS = {
    "no header": {"tensors": {"a": torch.zeros(3)}, "metadata": {"other": "1"}},
    "no JSON": ours("{"),
    "JSON without end": ours("[" * 100_000),
    "a number": ours(3),
    "no args": ours({"name": "defian"}),
    "args in a list": ours({"name": "defian", "args": [2]}),
    "a name in a list": ours({"name": ["defian"], "args": {}}),
    "no such network": ours({"name": "os.system", "args": {}}),
    "no such argument": ours({"name": "defian", "args": {"\ud800": 2}}),
    "a text for a number": ours({"name": "defian", "args": {"scale": "2"}}),
    "no channels": ours(
        {"name": "gidrn", "args": {"scale": 2, "channels": 0, "group_channels": 0}}
    ),
    "a thousand million blocks": ours(composed({"name": "edsr", "args": {"blocks": 10**9}}, EDSR)),
    "many blocks": ours({"name": "defian", "args": {"scale": 2, "modules": 60_000}}),
    "many layers": ours(composed(EDSR, {"name": "liif", "args": {"layers": 65_536}})),
    "a number of many digits": ours('{"name": "defian", "args": {"scale": ' + "9" * 9999 + "}}"),
    "a head without name": ours(composed(EDSR, {})),
    "heads in heads": ours(
        composed(EDSR, {"name": "pica", "args": {"head": {"name": "pica", "args": {"head": 3}}}})
    ),
    "other tensors": ours(composed(EDSR, {"name": "liif"})),
}


@pytest.mark.parametrize("kind", HOSTILE_OURS)
def test_a_hostile_weights_file_is_refused_in_a_sentence(kind, tmp_path, convert):
    save_file(**HOSTILE_OURS[kind], filename=tmp_path / "made")
    content = (tmp_path / "made").read_bytes()
    (tmp_path / "made").unlink()
    convert(content, ".safetensors", "made.pth")


def small(tmp_path, change=lambda tensors: None):
    """The bytes of a weights file of ours whose tensors were put through `change`."""
    spec = NetworkSpec(
        "composed", {"encoder": EDSR, "head": {"name": "liif", "args": {"hidden": 8}}}
    )
    network = build_network(spec)
    with torch.no_grad():
        change(network.state_dict())
    path = tmp_path / "small.safetensors"
    save_network(path, spec, network)
    content = path.read_bytes()
    path.unlink()
    return content


def test_weights_of_ours_must_be_finite(tmp_path, convert):
    content = small(tmp_path, lambda tensors: tensors["head.layers.0.bias"].fill_(torch.inf))
    assert "head.layers.0.bias holds numbers that are not finite" in convert(
        content, ".safetensors", "made.pth"
    )


@pytest.mark.parametrize("length", [0, 7, 100, 3000])
def test_weights_of_ours_that_are_cut_off_are_refused(length, tmp_path, convert):
    convert(small(tmp_path)[:length], ".safetensors", "made.pth")


@pytest.mark.parametrize("missing", ["source.pth", "source.safetensors"])
def test_a_missing_file_or_folder_is_reported(missing, tmp_path):
    other = {"source.pth": "made.safetensors", "source.safetensors": "made.pth"}[missing]
    arguments = ["convert", str(tmp_path / missing), str(tmp_path / other)]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, SystemExit)
    assert result.output.startswith("Conversion failed: ")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_target_that_cannot_be_written_leaves_nothing(suffix, tmp_path):
    source = tmp_path / f"source{suffix}"
    content = checkpoint(liif_tensors()) if suffix == ".pth" else small(tmp_path)
    source.write_bytes(content)
    made = {".pth": "made.safetensors", ".safetensors": "made.pth"}[suffix]
    (tmp_path / made).mkdir()
    for target in (tmp_path / made, tmp_path / "nowhere" / made):
        result = CliRunner().invoke(app, ["convert", str(source), str(target)])
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.output.startswith("Conversion failed: ")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / made, source])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_was_there_before_stays(suffix, tmp_path):
    (tmp_path / f"source{suffix}").write_bytes(b"no checkpoint")
    target = tmp_path / {".pth": "made.safetensors", ".safetensors": "made.pth"}[suffix]
    target.write_bytes(b"from before")
    result = CliRunner().invoke(app, ["convert", str(tmp_path / f"source{suffix}"), str(target)])
    assert result.exit_code == 1
    assert target.read_bytes() == b"from before"


def test_building_stops_as_soon_as_a_network_outgrows_its_file():
    spec = NetworkSpec("defian", {"scale": 2, "channels": 4, "modules": 60_000, "blocks": 60_000})
    with pytest.raises(WrongFile, match="more than 264 tensors"):
        skeleton(spec, 100)
    assert skeleton(NetworkSpec("composed", composed(EDSR, {"name": "liif"})["args"]), 20)


FORMATS = [checkpoint(liif_tensors(), _use_new_zipfile_serialization=z) for z in (True, False)]


@given(data=st.data())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
def test_whatever_the_bytes_a_file_is_read_or_refused(data, tmp_path):
    content = bytearray(data.draw(st.sampled_from(FORMATS)))
    # The pickle is at the start of both; numbers that change change nothing else.
    for place in data.draw(st.lists(st.integers(0, 2500), min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    read_or_refused(tmp_path, bytes(content[: data.draw(st.integers(1, 2 * len(content)))]))


OPERATIONS = st.sampled_from(
    [bytes([n]) for n in b"(.012FGIJKLMNPQRSTUVXabcdeghijlopqrstu}]\x80\x81"]
)
PIECES = st.one_of(
    OPERATIONS,
    st.sampled_from([b"h\x00", b"q\x00", b"h\x01", b"q\x01", b"K\x02", b"\x85", b"\x86", b"\x87"]),
    st.sampled_from(
        [b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"}", b"("]
    ),
    st.sampled_from([b"X\x07\x00\x00\x00storage", b"X\x01\x00\x00\x000", b"X\x02\x00\x00\x00sd"]),
)


@given(pieces=st.lists(PIECES, max_size=40))
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
def test_whatever_the_pickle_a_file_is_read_or_refused(pieces, tmp_path):
    read_or_refused(tmp_path, of_pickle(*pieces))


def read_or_refused(tmp_path, content):
    path = tmp_path / "some.pth"
    path.write_bytes(content)
    with contextlib.suppress(WrongFile):
        public = read_public(path)
        from_public(public.tensors, public.spec)


@given(data=st.data())
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
def test_whatever_the_bytes_a_weights_file_is_read_or_refused(data, tmp_path):
    content = bytearray(WEIGHTS.setdefault("small", small(tmp_path)))
    for place in data.draw(st.lists(st.integers(0, 1500), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "some.safetensors"
    path.write_bytes(content)
    with contextlib.suppress(WrongFile):
        read_ours(path)


WEIGHTS: dict[str, bytes] = {}
