"""Models from specs: nothing but the user's own file is ever executed, and no test touches the network."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from support import ToyNet, import_torchvision

from vebi.errors import MissingExtra, ModelError, UsageError, VebiError
from vebi.models.flowernet import FlowerNet
from vebi.models.load import load_classifier
from vebi.models.preprocess import Preprocess
from vebi.models.weights import read_note, save_checkpoint

NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    mean, std, size, class_names = (0.5,) * 3, (0.25,) * 3, 8, ("a", "b")

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x):
        return torch.relu(self.conv(x)).sum(dim=(2, 3))
"""


@pytest.fixture
def spec(tmp_path):
    """Writes a network file with a function ``build`` of the body given; returns its spec."""

    def write(body: str = "return Net()", name: str = "network.py") -> str:
        (tmp_path / name).write_text(f"{NETWORK}\n\ndef build():\n    {body}\n")
        return f"{tmp_path / name}:build"

    return write


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def checkpoint(path: Path, **changes) -> Path:
    torch.manual_seed(0)
    net = FlowerNet(3)
    if not changes:
        save_checkpoint(path, net, "vebi:flowernet", Preprocess(64, (0.5,) * 3, (0.2,) * 3), "xyz", {"seed": 1})
    else:
        metadata = {"format": "vebi-checkpoint", "model": "vebi:flowernet", "class_names": '["x", "y", "z"]'}
        save_file(net.state_dict(), path, metadata | changes)
    return path


# --- where things come from -----------------------------------------------------------------------------------------


def test_a_network_tells_its_own_preparation(spec):
    classifier = load_classifier(spec())
    assert classifier.preprocess == Preprocess(8, (0.5,) * 3, (0.25,) * 3)
    assert classifier.class_names == ("a", "b")
    assert not classifier.module.training


def test_arguments_come_before_attributes(spec):
    given = load_classifier(spec(), mean=[0.1, 0.2, 0.3], std=[1, 2, 3], size=9, resize=10, class_names=["c", "d"])
    assert given.preprocess == Preprocess(9, (0.1, 0.2, 0.3), (1, 2, 3), 10)
    assert given.class_names == ("c", "d")


def test_arguments_come_before_the_checkpoint_and_that_before_attributes(tmp_path):
    path = checkpoint(tmp_path / "c.safetensors")
    held = load_classifier(path)
    assert held.preprocess == Preprocess(64, (0.5,) * 3, (0.2,) * 3)  # FlowerNet itself says 112 and 0.25
    assert held.class_names == ("x", "y", "z")
    assert (held.spec, held.weights) == ("vebi:flowernet", str(path))
    assert load_classifier(path, size=72, class_names=["1", "2", "3"]).preprocess.size == 72
    assert load_classifier("vebi:flowernet", path).hash() == held.hash()
    assert read_note(path) == {"seed": 1}


def test_resize_belongs_to_the_size_it_was_made_for(spec):
    body = "net = Net(); net.resize = 10; return net"
    assert load_classifier(spec(body)).preprocess.resize == 10
    assert load_classifier(spec(body), size=16).preprocess.resize is None


def test_weights_of_every_kind(spec, tmp_path):
    torch.manual_seed(0)
    state = {"conv.weight": torch.randn(2, 3, 3, 3), "conv.bias": torch.zeros(2)}
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "w.ckpt")
    hashes = {load_classifier(spec(), tmp_path / f"w.{kind}").hash() for kind in ("safetensors", "pt", "ckpt")}
    assert len(hashes) == 1


# --- what must not run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("write", [lambda trap, path: path.write_bytes(pickle.dumps(trap)), torch.save])
def test_a_pickle_is_never_unpickled(spec, tmp_path, name, write):
    write(Trap(tmp_path / "trapped"), tmp_path / name)
    with pytest.raises(ModelError, match="unpickling code|no intact safetensors"):
        load_classifier(spec(), tmp_path / name)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("model", ["evil.py:build", "vebi:evil.py:build", "torchvision:resnet18", "timm:resnet18", ""])
def test_a_checkpoint_never_chooses_the_code(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    for name in ("evil.py", "vebi:evil.py"):
        Path(name).write_text("open('trapped', 'w')\n\ndef build():\n    pass\n")
    path = checkpoint(Path("c.safetensors"), model=model)
    with pytest.raises(VebiError, match="names"):
        load_classifier(path)
    assert not Path("trapped").exists()


# --- weights that cannot be used ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"conv.weight": torch.zeros(2, 3, 3, 3)}, 'does not fit the network: Missing key.*"conv.bias"'),
        ({"conv.weight": torch.zeros(2, 3, 5, 5), "conv.bias": torch.zeros(2)}, "does not fit.*size mismatch"),
        (
            {"conv.weight": torch.full((2, 3, 3, 3), torch.nan), "conv.bias": torch.zeros(2)},
            "NaN or infinity in conv.w",
        ),
    ],
)
def test_weights_that_do_not_fit(spec, tmp_path, state, message):
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=message):
        load_classifier(spec(), tmp_path / "w.safetensors")


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_damaged_weights(spec, tmp_path, suffix, share):
    path = tmp_path / f"w.{suffix}"
    state = {"conv.weight": torch.zeros(2, 3, 3, 3), "conv.bias": torch.zeros(2)}
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match=f"{path}.*damaged|{path} is no intact"):
        load_classifier(spec(), path)


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], {"epoch": 3}, {1: torch.zeros(2)}])
def test_files_that_hold_no_state(spec, tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="holds no state_dict"):
        load_classifier(spec(), tmp_path / "w.pt")


def test_weights_that_are_no_file(spec, tmp_path):
    for path in (tmp_path, tmp_path / "no.pt"):
        with pytest.raises(ModelError, match="is no file"):
            load_classifier(spec(), path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(format="other"), "holds weights alone"),
        (dict(mean="not json"), "no intact safetensors file"),
        (dict(mean="[" * 100_000), "no intact safetensors file"),
        (dict(mean='"x"'), "mean and std must be lists of numbers"),
        (dict(size='"big"'), "mean and std must be lists of numbers"),
        (dict(class_names="3"), "class names a list"),
        (dict(class_names='["x", "y"]'), "3 class scores, but 2 class names"),
        (dict(note="[]"), "holds a note"),
    ],
)
def test_checkpoints_of_other_make(tmp_path, changes, message):
    with pytest.raises(ModelError, match=message):
        load_classifier(checkpoint(tmp_path / "c.safetensors", **changes))


def test_a_checkpoint_takes_no_other_weights(tmp_path):
    path = checkpoint(tmp_path / "c.safetensors")
    with pytest.raises(UsageError, match="weights of its own"):
        load_classifier(path, path)


def test_flowernet_needs_weights(tmp_path):
    with pytest.raises(ModelError, match="train it"):
        load_classifier("vebi:flowernet")
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="does not fit"):
        load_classifier("vebi:flowernet", tmp_path / "w.safetensors")


# --- a user's own file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise RuntimeError('mine')", "stopped with RuntimeError: mine"),
        ("raise SystemExit(0)", "stopped with SystemExit"),
        ("return 3", "returned a int, but a torch.nn.Module is needed"),
        ("net = Net(); net.conv.bias.data[0] = torch.inf; return net", "NaN or infinity in conv.bias"),
        ("net = Net(); net.forward = lambda x: (x,); return net", "gives tuple"),
        ("net = Net(); net.forward = lambda x: x; return net", r"shape \(1, 3, 8, 8\)"),
        ("net = Net(); net.conv = nn.Conv2d(1, 2, 3); return net", r"fails on an input of shape \(1, 3, 8, 8\)"),
        ("net = Net(); net.mean = 'a'; return net", "mean='a'.*lists of numbers"),
        ("net = Net(); net.size = (8, 8); return net", "whole numbers"),
        ("net = Net(); net.class_names = 3; return net", "class names a list"),
    ],
)
def test_networks_that_cannot_be_used(spec, body, message):
    with pytest.raises(ModelError, match=message):
        load_classifier(spec(body))


def test_files_that_hold_no_network(spec, tmp_path):
    path = spec().removesuffix(":build")
    with pytest.raises(ModelError, match="no function 'nothing'"):
        load_classifier(f"{path}:nothing")
    with pytest.raises(ModelError, match="does not exist"):
        load_classifier(f"{tmp_path}/no.py:build")
    Path(path).write_text("def build(:")
    with pytest.raises(ModelError, match="SyntaxError"):
        load_classifier(f"{path}:build")


@pytest.mark.parametrize("wrong", ["network.py", "build", "", "vebi:other", "vebi:network.py:build"])
def test_specs_that_name_nothing(wrong):
    with pytest.raises(UsageError, match="names no model: give"):
        load_classifier(wrong)


def test_what_nobody_says_is_asked_for(spec):
    body = "net = Net(); net.mean = net.size = None; return net"
    with pytest.raises(UsageError, match="does not say its mean, size: give"):
        load_classifier(spec(body))
    assert load_classifier(spec(body), mean=[0, 0, 0], size=8).preprocess.mean == (0, 0, 0)


def test_a_network_file_imports_the_modules_beside_it(tmp_path):
    """Also where another folder has a module of the same name."""
    before = list(sys.path)
    outputs = []
    for bias in (1, 2):
        folder = tmp_path / str(bias)
        folder.mkdir()
        (folder / "neighbour.py").write_text(f"BIAS = {bias}\n")
        body = "import neighbour\n    net = Net()\n    net.conv.bias.data[:] = neighbour.BIAS\n    return net"
        (folder / "network.py").write_text(f"{NETWORK}\n\ndef build():\n    {body}\n")
        outputs.append(load_classifier(f"{folder}/network.py:build").module.conv.bias[0].item())
    assert outputs == [1, 2]
    assert sys.path == before and "neighbour" not in sys.modules


# --- torchvision and timm -------------------------------------------------------------------------------------------


def test_torchvision_by_name(tmp_path):
    models = import_torchvision().models
    torch.manual_seed(0)
    net = models.squeezenet1_1(weights=None)
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    classifier = load_classifier("torchvision:squeezenet1_1", tmp_path / "w.safetensors")
    assert classifier.preprocess == Preprocess(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 256)
    assert torch.equal(classifier.scores(classifier.blank()), net.eval()(torch.zeros(1, 3, 224, 224)))
    # pictures are prepared as by torchvision itself, up to one of 255 steps
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8))
    theirs = models.SqueezeNet1_1_Weights.DEFAULT.transforms()(picture)
    assert (classifier.preprocess.prepare(picture) - theirs).abs().max() <= 1.01 / 255 / 0.224
    with pytest.raises(ModelError, match="has no classifier 'fasterrcnn_resnet50_fpn'"):
        load_classifier("torchvision:fasterrcnn_resnet50_fpn")
    with pytest.raises(ModelError, match="does not fit"):
        load_classifier("torchvision:alexnet", tmp_path / "w.safetensors")


def test_torchvision_without_its_weights(monkeypatch):
    models = import_torchvision().models

    def offline(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nowhere")
    monkeypatch.setattr("os.makedirs", lambda *args, **options: None)
    assert models.SqueezeNet1_1_Weights.DEFAULT
    with pytest.raises(ModelError, match="cannot be fetched .no network.: give a weights file"):
        load_classifier("torchvision:squeezenet1_1")


def test_timm_by_name(tmp_path):
    import_torchvision()
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = timm.create_model("mobilenetv3_small_050", pretrained=False)
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    classifier = load_classifier("timm:mobilenetv3_small_050", tmp_path / "w.safetensors", class_names=None)
    assert classifier.preprocess == Preprocess(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 256, "bicubic")
    assert torch.equal(classifier.scores(classifier.blank()), net.eval()(torch.zeros(1, 3, 224, 224)))
    for name in ("nothing", "hf-hub:somebody/something", f"local-dir:{tmp_path}"):
        with pytest.raises(ModelError, match="timm has no model"):
            load_classifier(f"timm:{name}")


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"needs the package {package}, .*: pip install 'vebi\[models\]'"):
        load_classifier(f"{package}:resnet18")


def test_a_broken_package_is_told_from_a_missing_one(monkeypatch, tmp_path):
    (tmp_path / "timm.py").write_text("import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(VebiError, match="timm cannot be imported .No module named 'nothing_of_this_name'.: install"):
        load_classifier("timm:resnet18")


def test_a_checkpoint_is_whole_or_not_there(tmp_path, toy_module):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, toy_module, "vebi:toy", Preprocess(32, ToyNet.mean, ToyNet.std), ToyNet.class_names, {})
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["class_names"]) == ["blue", "green", "red"]
