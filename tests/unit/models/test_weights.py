"""Weights and checkpoints: nothing in them is ever executed, and what does not fit is an error."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save, save_file
from support import ToyNet

from vebi.errors import ModelError, UsageError, VebiError, VebiWarning
from vebi.models.flowernet import FlowerNet
from vebi.models.load import load_classifier
from vebi.models.preprocess import Preprocess
from vebi.models.weights import read_note, save_checkpoint


class Trap:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_weights_of_every_kind(spec, tmp_path):
    torch.manual_seed(0)
    state = {"conv.weight": torch.randn(2, 3, 3, 3), "conv.bias": torch.zeros(2)}
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "w.ckpt")
    hashes = {load_classifier(spec(), tmp_path / f"w.{kind}").sha256() for kind in ("safetensors", "pt")}
    with pytest.warns(VebiWarning, match=r"the weights of .*w\.ckpt are those under 'state_dict'$"):
        hashes.add(load_classifier(spec(), tmp_path / "w.ckpt").sha256())
    assert len(hashes) == 1


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.backbone."])
@pytest.mark.parametrize(
    "keys", [(), ("state_dict",), ("model",), ("model_state_dict",), ("ema",), ("checkpoint", "model")]
)
def test_weights_as_training_code_writes_them(spec, tmp_path, prefix, keys):
    state = {"conv.weight": torch.full((2, 3, 3, 3), 0.25), "conv.bias": torch.ones(2)}
    content = {prefix + name: value for name, value in state.items()}
    for key in reversed(keys):
        content = {key: content, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "w.pt")
    with pytest.warns(VebiWarning) as said:
        network = load_classifier(spec(), tmp_path / "w.pt").model
    assert torch.equal(network.conv.weight, state["conv.weight"])
    texts = [str(warning.message) for warning in said]
    assert any(f"{prefix!r} is taken off the names of the weights in" in text for text in texts)
    assert not keys or any(f"are those under {' and '.join(map(repr, keys))}" in text for text in texts)


def test_averaged_weights_come_before_those_of_the_last_step(spec, tmp_path):
    last = {"conv.weight": torch.zeros(2, 3, 3, 3), "conv.bias": torch.zeros(2)}
    averaged = {name: value + 1 for name, value in last.items()}
    torch.save({"model": last, "ema": averaged}, tmp_path / "w.pt")
    with pytest.warns(VebiWarning, match="under 'ema'$"):
        assert load_classifier(spec(), tmp_path / "w.pt").model.conv.bias.tolist() == [1, 1]


STATE = {"conv.weight": torch.full((2, 3, 3, 3), 0.25), "conv.bias": torch.ones(2)}
LAST = {name: value * 0 for name, value in STATE.items()}


def under(prefix):
    return {prefix + name: value for name, value in STATE.items()}


AVERAGED = {"n_averaged": torch.tensor(5)} | under("module.")


@pytest.mark.parametrize(
    "content",
    [
        AVERAGED,
        {"model": LAST, "model_ema": AVERAGED},
        {"model_ema": {}, "model": STATE},
        {"checkpoint": {"epoch": 3}, "model": STATE},
        {"ema": {"shadow": STATE, "decay": 0.99}, "model": LAST},
        {"state_dict": under("model.") | {"criterion.weight": torch.ones(3), "val_accuracy.tp": torch.zeros(3)}},
        {"module": STATE, "optimizer": {}},
        {"weights": STATE},
        {"params": LAST, "params_ema": STATE},
        {"model_state": STATE, "epoch": 1},
        {"student": LAST, "teacher": under("backbone.")},
    ],
)
def test_weights_are_told_from_what_is_beside_them(spec, tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.warns(VebiWarning, match=r"w\.pt"):
        network = load_classifier(spec(), tmp_path / "w.pt").model
    assert torch.equal(network.conv.weight, STATE["conv.weight"])


def test_what_is_left_out_of_a_file_is_said(spec, tmp_path):
    save_file(AVERAGED, tmp_path / "w.safetensors")
    with pytest.warns(VebiWarning, match=r"'module\.' is taken off .*w\.safetensors, and left out .* n_averaged"):
        assert load_classifier(spec(), tmp_path / "w.safetensors").model.conv.bias.tolist() == [1, 1]


def test_nothing_is_left_out_where_the_rest_does_not_fit(spec, tmp_path):
    torch.save({"model.conv.weight": STATE["conv.weight"], "stem.bias": torch.ones(2)}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"the file has model\.conv\.weight, stem\.bias, the network conv\.weight"):
        load_classifier(spec(), tmp_path / "w.pt")


@pytest.mark.parametrize("compiled_network", [True, False])
def test_names_of_a_compiled_part(spec, tmp_path, compiled_network):
    part = "torch.compile(net, backend='eager')" if compiled_network else "net"
    body = f"net = Net(); outer = nn.Sequential(); outer.add_module('part', {part})\n"
    body += "    outer.mean, outer.std, outer.size = net.mean, net.std, net.size; return outer"
    torch.save(under("part." if compiled_network else "part._orig_mod."), tmp_path / "w.pt")
    with pytest.warns(VebiWarning, match="'_orig_mod.', .* is ignored"):
        network = load_classifier(spec(body), tmp_path / "w.pt").model
    assert [value.mean().item() for value in network.state_dict().values()] == [0.25, 1]


def wrapped(depth):
    content = dict(STATE)
    for _ in range(depth):
        content = {"model": content, "ema": content}
    return content


def holding_itself():
    content = {"epoch": 3}
    content["model"] = content
    return content


@pytest.mark.parametrize(
    ("make", "facts"),
    [
        (holding_itself, "the file has epoch, model"),
        (lambda: wrapped(300), "the file has model, ema"),
        (lambda: {"mine": STATE, "epoch": 3}, "the file has mine, epoch"),
        (lambda: {"optimizer": {"state": {}}}, "the file has optimizer"),
        (dict, "the file has nothing"),
    ],
)
def test_files_without_weights_are_read_to_their_end(spec, tmp_path, make, facts):
    torch.save(make(), tmp_path / "w.pt")
    with pytest.raises(ModelError, match=f"holds no state_dict: {facts}, but"):
        load_classifier(spec(), tmp_path / "w.pt")


def test_weights_that_do_not_fit_show_the_names_of_both_sides(spec, tmp_path):
    save_file({"stem.weight": torch.zeros(1), "stem.bias": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"the file has stem\..*, the network conv\.weight, conv\.bias: give"):
        load_classifier(spec(), tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["\udcff", "\udcff/w", "\u82b1"])
def test_weights_can_have_any_name(spec, tmp_path, name):
    path = tmp_path / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(save(STATE))
    assert load_classifier(spec(), path).model.conv.bias.tolist() == [1, 1]
    path.write_bytes(b"damaged")
    with pytest.raises(ModelError, match="is no intact safetensors file"):
        load_classifier(spec(), path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precision_are_those_of_the_network(spec, tmp_path, dtype):
    state = {"conv.weight": torch.full((2, 3, 3, 3), 0.25, dtype=dtype), "conv.bias": torch.ones(2, dtype=dtype)}
    save_file(state, tmp_path / "w.safetensors")
    assert load_classifier(spec(), tmp_path / "w.safetensors").model.conv.weight.dtype == torch.float32


# --- what must not run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("write", [lambda trap, path: path.write_bytes(pickle.dumps(trap)), torch.save])
def test_a_pickle_is_never_unpickled(spec, tmp_path, name, write):
    write(Trap(tmp_path / "trapped"), tmp_path / name)
    with pytest.raises(ModelError, match=str(tmp_path / name)):
        load_classifier(spec(), tmp_path / name)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("model", ["evil.py:build", "vebi:evil.py:build", "torchvision:resnet18", "timm:resnet18", ""])
def test_a_checkpoint_never_chooses_the_code(checkpoint, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    for name in ("evil.py", "vebi:evil.py"):
        Path(name).write_text("open('trapped', 'w')\n\ndef build():\n    pass\n")
    path = checkpoint(Path("c.safetensors"), model=model)
    with pytest.raises(VebiError, match=f"'{model}'"):
        load_classifier(path)
    assert not Path("trapped").exists()


# --- weights that cannot be used ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "facts"),
    [
        ({"conv.weight": torch.zeros(2, 3, 3, 3)}, 'Missing key.*"conv.bias"'),
        ({"conv.weight": torch.zeros(2, 3, 5, 5), "conv.bias": torch.zeros(2)}, "size mismatch.*conv.weight"),
        ({"conv.weight": torch.full((2, 3, 3, 3), torch.nan), "conv.bias": torch.zeros(2)}, r"NaN.* conv\.weight"),
    ],
)
def test_weights_that_do_not_fit(spec, tmp_path, state, facts):
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=facts):
        load_classifier(spec(), tmp_path / "w.safetensors")


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_damaged_weights(spec, tmp_path, suffix, share):
    path = tmp_path / f"w.{suffix}"
    state = {"conv.weight": torch.zeros(2, 3, 3, 3), "conv.bias": torch.zeros(2)}
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match=str(path)):
        load_classifier(spec(), path)


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], {"epoch": 3}, {1: torch.zeros(2)}])
def test_files_that_hold_no_state(spec, tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelError, match=f"{tmp_path}/w.pt holds no state_dict"):
        load_classifier(spec(), tmp_path / "w.pt")


def test_weights_that_are_no_file(spec, tmp_path):
    for path in (tmp_path, tmp_path / "no.pt"):
        with pytest.raises(ModelError, match=f"^{path} "):
            load_classifier(spec(), path)


# --- checkpoints ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"format": "other"}, r"c\.safetensors holds weights alone"),
        ({"mean": "not json"}, r"c\.safetensors is no intact"),
        ({"mean": "[" * 100_000}, r"c\.safetensors is no intact"),
        ({"mean": '"x"'}, "mean='x'"),
        ({"size": '"big"'}, "size='big'"),
        ({"size": "1e400"}, "size=inf"),
        ({"mean": f"[{'9' * 400}, 0, 0]"}, "mean=.*correct them"),
        ({"class_names": "3"}, "class names"),
        ({"class_names": '["x", "y"]'}, r"3 class scores.* 2 class names.*\(x, y\)"),
        ({"note": "[]"}, r"c\.safetensors holds a note"),
    ],
)
def test_checkpoints_of_other_make(checkpoint, tmp_path, changes, facts):
    with pytest.raises(ModelError, match=facts):
        load_classifier(checkpoint(tmp_path / "c.safetensors", **changes))


def test_a_checkpoint_takes_no_other_weights(checkpoint, tmp_path):
    path = checkpoint(tmp_path / "c.safetensors")
    with pytest.raises(UsageError, match=f"weights={path}"):
        load_classifier(path, path)


def test_flowernet_needs_weights(tmp_path):
    with pytest.raises(ModelError, match=r"vebi:flowernet .*`vebi train`"):
        load_classifier("vebi:flowernet")
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=r"w\.safetensors .*Missing key"):
        load_classifier("vebi:flowernet", tmp_path / "w.safetensors")


def test_a_checkpoint_is_whole_or_not_there(tmp_path, toy_module):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, toy_module, "vebi:toy", Preprocess(32, ToyNet.mean, ToyNet.std), ToyNet.class_names, {})
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]
    with safe_open(path, "pt") as file:
        assert json.loads(file.metadata()["class_names"]) == ["blue", "green", "red"]


def test_checkpoints_of_before_are_read(tmp_path):
    """The metadata as the first version wrote them, without a note."""
    metadata = {
        "format": "vebi-checkpoint",
        "model": "vebi:flowernet",
        "mean": "[0.5, 0.5, 0.5]",
        "std": "[0.2, 0.2, 0.2]",
        "size": "64",
        "class_names": '["x", "y"]',
    }
    path = tmp_path / "c.safetensors"
    save_file(FlowerNet(2).state_dict(), path, metadata)
    classifier = load_classifier(path)
    assert classifier.preprocess == Preprocess(64, (0.5,) * 3, (0.2,) * 3)
    assert classifier.class_names == ("x", "y")
    assert read_note(path) == {}
