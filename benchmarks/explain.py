"""How long heatmaps take, compared with captum, in one run:  python benchmarks/explain.py [--json] [--rounds 5]

Batches of 16 images at 224 px (random weights and pixels: neither changes the work), on a GPU where there is one.
Needs the extras [bench] and [models]. Rows, each the median over the rounds, in which all take turns:

- forward: a forward pass alone; floor: one forward and three plain backward passes, from the layers to the pixels;
- vebi-3: guided maps of one channel in each of the three layers, with the stride fix; vebi-1: the deepest alone;
- vebi-default: the same three by the default recipe, read at every activation function and kept to the class;
- captum-guided-gradcam: one map; captum-loop: NeuronGuidedBackprop for the same three channels, one after the other.

With --memory it prints instead how the peak memory grows from the 100th to the 1,000th batch of small images.
"""

import argparse
import copy
import json
import resource
import statistics
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import import_torchvision

from vebi.activations.layers import Feature, choose_layers
from vebi.backprop.feature_maps import backprop_features, batch_feature_maps, forward_graph
from vebi.explanation.contrast import make_gates
from vebi.explanation.recipe import Recipe
from vebi.models.classifier import Classifier
from vebi.models.flowernet import FlowerNet
from vebi.models.preprocess import Preprocess

CASES = {
    "resnet18": (Feature("layer2", 5), Feature("layer3", 5), Feature("layer4", 5)),
    "vgg16": (Feature("features.15", 5), Feature("features.22", 5), Feature("features.29", 5)),
}
BATCH, SIZE = 16, 224


def functions_to_time(name: str, device: torch.device) -> dict:
    """What is timed -> a function without arguments."""
    from captum.attr import GuidedGradCam, NeuronGuidedBackprop

    torch.manual_seed(0)
    features = CASES[name]
    net = getattr(import_torchvision().models, name)().eval().to(device)
    separate = copy.deepcopy(net)  # captum's hooks fail on in-place ReLUs
    for part in separate.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
    images = torch.randn(BATCH, 3, SIZE, SIZE, device=device)
    classifier = Classifier(net, Preprocess(SIZE, (0.5,) * 3, (0.5,) * 3))
    targets = net(images).argmax(dim=1)
    layers = [separate.get_submodule(feature.layer) for feature in features]

    def forward():
        with torch.no_grad():
            return net(images)

    def floor():
        inputs, activations = images.clone().requires_grad_(), []
        handles = [layer.register_forward_hook(lambda _m, _i, out: activations.append(out)) for layer in layers]
        separate(inputs)
        for handle in handles:
            handle.remove()
        for activation, feature in zip(activations, features, strict=True):
            seed = torch.zeros_like(activation)
            seed[:, feature.channel] = activation[:, feature.channel].detach()
            torch.autograd.grad(activation, inputs, seed, retain_graph=True)

    def captum_loop():
        for layer, feature in zip(layers, features, strict=True):
            energy = partial(half_energy, channel=feature.channel)
            NeuronGuidedBackprop(separate, layer).attribute(images.clone().requires_grad_(), energy)

    recorded, recipe = [layer.name for layer in choose_layers(classifier)], Recipe()
    # the activation functions whose outputs the three layers have
    selected = [f if f.layer in recorded else Feature(f"{f.layer}.1.relu#2", f.channel) for f in features]

    def default():
        with forward_graph(classifier, images, recorded) as (inputs, recorder, scores):
            maps = backprop_features(
                recorder,
                inputs,
                [selected] * BATCH,
                rule=recipe.rule,
                stride_fix=recipe.stride_fix,
                pool_fix=recipe.pool_fix,
                reading=recipe.reading,
            )
            gates = make_gates(recorder, scores, targets.tolist(), inputs.shape[2:]).cpu()
        return [[gates.apply(n, heatmap) for heatmap in row] for n, row in enumerate(maps)]

    return {
        "forward": forward,
        "floor": floor,
        "vebi-default": default,
        "vebi-3": lambda: batch_feature_maps(classifier, images, features),
        "vebi-1": lambda: batch_feature_maps(classifier, images, features[-1:]),
        "captum-guided-gradcam": lambda: GuidedGradCam(separate, layers[-1]).attribute(
            images.clone().requires_grad_(), target=targets
        ),
        "captum-loop": captum_loop,
    }


def half_energy(activation: torch.Tensor, channel: int) -> torch.Tensor:
    """Half the sum of squares of a channel: its gradient starts from the activation itself, as vebi's does."""
    return activation[:, channel].square().sum(dim=(1, 2)) / 2


def measure(name: str, device: torch.device, rounds: int) -> dict[str, float]:
    functions = functions_to_time(name, device)
    seconds = {what: [] for what in functions}
    for turn in range(rounds + 1):  # the first one warms up
        for what, run in functions.items():
            started = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn:
                seconds[what].append(time.perf_counter() - started)
    return {what: statistics.median(times) for what, times in seconds.items()}


def memory(batches: int = 1000) -> dict[str, float]:
    """Peak memory of this process in MiB after 100 batches and after all of them."""
    torch.manual_seed(0)
    net = FlowerNet(6).eval()
    classifier = Classifier(net, Preprocess(net.size, net.mean, net.std))
    features = [Feature("relu2", 1), Feature("relu3", 1), Feature("relu4", 1)]
    peaks = {}
    for k in range(1, batches + 1):
        batch_feature_maps(classifier, torch.randn(4, 3, net.size, net.size), features)
        if k in (100, batches):
            peaks[f"after {k}"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", choices=list(CASES), action="append", help="only this one; may be repeated")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    options = parser.parse_args()
    if options.memory:
        peaks = memory()
        print(json.dumps(peaks) if options.json else "\n".join(f"{k} batches: {v:.0f} MiB" for k, v in peaks.items()))
        return
    warnings.filterwarnings("ignore", module="captum")  # notes of its hooks
    warnings.filterwarnings("ignore", module="torch")  # of captum's hooks
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = []
    for name in options.model or CASES:
        seconds = measure(name, device, options.rounds)
        rows += [{"model": name, "what": what, "seconds": time} for what, time in seconds.items()]
        if not options.json:
            print(f"{name}, {BATCH} images of {SIZE} px, {device}")
            for what, time_ in seconds.items():
                print(f"  {what:<22} {time_:8.3f} s")
            for what, other, bound in (
                ("vebi-3", "floor", 1.15),
                ("vebi-default", "vebi-3", 1.5),
                ("vebi-3", "captum-loop", 0.6),
                ("vebi-1", "captum-guided-gradcam", 0.75),
            ):
                print(f"  {what} / {other}: {seconds[what] / seconds[other]:.2f} (to be at most {bound})")
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
