"""Networks from specs: nothing but the user's own file is ever executed, and no test touches the network."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support import import_torchvision

from vebi import provenance
from vebi.benchmark.methods import user_method
from vebi.errors import MissingExtraError, ModelError, UsageError, VebiError
from vebi.models import sources
from vebi.models.load import load_classifier
from vebi.models.preprocess import Preprocess

# --- a user's own file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        ("raise RuntimeError('mine')", "RuntimeError: mine"),
        ("raise SystemExit(0)", "SystemExit"),
        ("return 3", r"int, .*torch\.nn\.Module"),
    ],
)
def test_functions_that_return_no_network(spec, body, facts):
    with pytest.raises(ModelError, match=facts):
        load_classifier(spec(body))


def test_files_that_hold_no_network(spec, tmp_path):
    path = spec().removesuffix(":build")
    with pytest.raises(ModelError, match=f"{path} .*'nothing'"):
        load_classifier(f"{path}:nothing")
    with pytest.raises(ModelError, match=f"{tmp_path}/no.py does not exist"):
        load_classifier(f"{tmp_path}/no.py:build")
    Path(path).write_text("def build(:")
    with pytest.raises(ModelError, match="SyntaxError"):
        load_classifier(f"{path}:build")


def test_files_that_are_not_read(spec, tmp_path):
    """As reading them may never end."""
    os.mkfifo(tmp_path / "pipe.py")
    with (tmp_path / "huge.py").open("wb") as file:
        file.truncate(2**33)
    for name, fact in (("pipe", "a pipe, a device"), ("huge", "8,192 MiB")):
        for load in (load_classifier, user_method):
            with pytest.raises(ModelError, match=f"{tmp_path}/{name}.py cannot be used .*{fact}"):
                load(f"{tmp_path}/{name}.py:build")


def test_properties_that_fail(spec):
    body = "class Own(Net):\n        mean = property(lambda self: 1 / 0)\n    return Own()"
    with pytest.raises(ModelError, match=r"does not say its preprocessing .*ZeroDivisionError.*: let its attributes"):
        load_classifier(spec(body))


@pytest.mark.parametrize("wrong", ["network.py", "build", "", "vebi:other", "vebi:network.py:build"])
def test_specs_that_name_nothing(wrong):
    with pytest.raises(UsageError, match=f"^'{wrong}' .*FILE.py:FUNCTION"):
        load_classifier(wrong)


def test_a_network_file_imports_the_modules_beside_it(spec, tmp_path):
    """Also where another folder has a module of the same name."""
    before = list(sys.path)
    outputs = []
    for bias in (1, 2):
        folder = tmp_path / str(bias)
        folder.mkdir()
        (folder / "neighbour.py").write_text(f"BIAS = {bias}\n")
        body = "import neighbour\n    net = Net()\n    net.conv.bias.data[:] = neighbour.BIAS\n    return net"
        outputs.append(load_classifier(spec(body, f"{bias}/network.py")).model.conv.bias[0].item())
    assert outputs == [1, 2]
    assert sys.path == before
    assert "neighbour" not in sys.modules


# --- torchvision and timm -------------------------------------------------------------------------------------------


def test_torchvision_by_name(tmp_path):
    models = import_torchvision().models
    torch.manual_seed(0)
    net = models.squeezenet1_1(weights=None)
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    classifier = load_classifier("torchvision:squeezenet1_1", tmp_path / "w.safetensors")
    assert classifier.preprocess == Preprocess(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 256)
    assert torch.equal(classifier.logits(classifier.zero_input()), net.eval()(torch.zeros(1, 3, 224, 224)))
    # images are prepared as by torchvision itself, up to one of 255 steps
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8))
    theirs = models.SqueezeNet1_1_Weights.DEFAULT.transforms()(image)
    assert (classifier.preprocess.prepare(image) - theirs).abs().max() <= 1.01 / 255 / 0.224
    with pytest.raises(ModelError, match=r"torchvision .*'fasterrcnn_resnet50_fpn'"):
        load_classifier("torchvision:fasterrcnn_resnet50_fpn")
    with pytest.raises(ModelError, match=r"w\.safetensors .*Missing key"):
        load_classifier("torchvision:alexnet", tmp_path / "w.safetensors")


def test_torchvision_without_its_weights(monkeypatch):
    models = import_torchvision().models

    def offline(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "/nowhere")
    monkeypatch.setattr("os.makedirs", lambda *args, **options: None)
    assert models.SqueezeNet1_1_Weights.DEFAULT
    with pytest.raises(ModelError, match=r"torchvision:squeezenet1_1 .*no network"):
        load_classifier("torchvision:squeezenet1_1")


def test_timm_by_name(tmp_path):
    import_torchvision()
    timm = pytest.importorskip("timm", reason="loads models of timm, which is optional")
    torch.manual_seed(0)
    net = timm.create_model("mobilenetv3_small_050", pretrained=False)
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    classifier = load_classifier("timm:mobilenetv3_small_050", tmp_path / "w.safetensors", class_names=None)
    assert classifier.preprocess == Preprocess(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 256, "bicubic")
    assert torch.equal(classifier.logits(classifier.zero_input()), net.eval()(torch.zeros(1, 3, 224, 224)))
    for name in ("nothing", "hf-hub:somebody/something", f"local-dir:{tmp_path}"):
        with pytest.raises(ModelError, match=f"timm has no model '{name}'"):
            load_classifier(f"timm:{name}")


@pytest.fixture
def shadow(tmp_path, monkeypatch):
    """Puts a package of this content in the place of one."""

    def put(package, content):
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(content)
        monkeypatch.syspath_prepend(tmp_path)

    return put


UNFIT = "raise RuntimeError('operator torchvision::nms does not exist')"


@pytest.mark.parametrize(
    ("package", "content", "fact"),
    [
        ("torchvision", "", r"torchvision cannot .*\(No module named .*with torch .* goes torchvision 0"),
        ("torchvision", UNFIT, r"torchvision cannot .*\(operator .*with torch .* goes torchvision 0"),
        ("torchvision", "raise OSError('libc10.so')", r"torchvision cannot .*with torch .* goes torchvision 0"),
        ("timm", "", r"timm cannot .*no attribute.*: pip install --force-reinstall timm$"),
        ("timm", "raise SystemError('broken')", r"timm cannot .*\(broken\): pip install --force-reinstall timm$"),
        ("timm", UNFIT, r"timm cannot .*with torch .* goes torchvision 0"),
    ],
)
def test_a_broken_package_is_named_with_what_to_install(shadow, package, content, fact):
    shadow(package, content)
    with pytest.raises(VebiError, match=fact):
        load_classifier(f"{package}:resnet18")


def test_so_is_one_that_a_forward_pass_imports(shadow, tmp_path):
    shadow("torchvision", UNFIT)
    (tmp_path / "net.py").write_text(
        "from torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        import torchvision"
    )
    with pytest.raises(ModelError, match=r"operator torchvision::nms .*: with torch .* goes torchvision 0"):
        load_classifier(f"{tmp_path}/net.py:Net", size=32, mean=[0.5] * 3, std=[0.25] * 3)


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf" {package}, .*: pip install 'vebi\[models\]'"):
        load_classifier(f"{package}:resnet18")


def test_a_broken_package_is_told_from_a_missing_one(monkeypatch, tmp_path):
    (tmp_path / "timm.py").write_text("import nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(VebiError, match=r"timm .*No module named 'nothing_of_this_name'") as raised:
        load_classifier("timm:resnet18")
    assert not isinstance(raised.value, MissingExtraError)


def test_a_file_that_imports_a_torchvision_of_another_torch_has_the_pair(tmp_path):
    (tmp_path / "net.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    with pytest.raises(ModelError, match=r"nms does not exist: with torch .* goes torchvision 0\.\d+, built for"):
        load_classifier(f"{tmp_path}/net.py:build", size=32, mean=[0.5] * 3, std=[0.5] * 3)


@pytest.mark.parametrize("spec", ["torchvision:resnet18", "timm:resnet18"])
def test_a_torchvision_of_another_torch_is_one_sentence_with_the_pair(spec, monkeypatch):
    def refuse(name, *_):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(sources, "import_module", refuse)
    monkeypatch.setattr(provenance, "version", lambda _: "2.13.0+cpu")
    with pytest.raises(
        VebiError, match=r"nms does not exist\): with torch .* goes torchvision 0\.28, built for the same"
    ):
        load_classifier(spec)
