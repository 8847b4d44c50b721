"""Shared by all tests: shapes and types are checked at run time, and a toy problem that trains in a second."""

import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from jaxtyping import install_import_hook
from support import COLOURS, SIZE, ToyNet, draw_square

pytest_plugins = ["cli_fixtures"]

CHECKED = """
backprop.graph_audit
backprop.rules
methods.cam
methods.deconvnet
methods.base
methods.grad_cam
methods.grad_cam_plus_plus
methods.gradient
methods.guided_backprop
methods.guided_cam
methods.input_x_gradient
methods.layer_cam
methods.adapters
methods.features
benchmark.runner
benchmark.examples
benchmark.mosaics
benchmark.scoring
benchmark.sensitivity
benchmark.rows
benchmark.ground_truth
models.classifier
data.collections
data.decode
data.loader
activations.descriptors
metrics.grid_artifact
metrics.grid_pointing
metrics.iou
metrics.base
metrics.registry
metrics.pointing
metrics.precision
metrics.relevance
benchmark.statistics
interpretation.exemplars
explanation.explain
interpretation.fit
models.flowernet
backprop.heatmaps
interpretation.result
lasso.certificate
lasso.path
lasso.polish
lasso.solution
lasso.subsampling
lasso.gram
lasso.cross_validation
models.load
backprop.feature_maps
datasets.masks
backprop.receptive_field
reports.benchmark_page
interpretation.run_folder
interpretation.stability
interpretation.mu_path
interpretation.partition
activations.recorder
"""
install_import_hook([f"vebi.{name}" for name in CHECKED.split()], "support.typecheck")

# new examples at a desk, the same ones in every automatic run
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

torch.set_num_threads(1)  # the networks here are tiny: more threads only wait for each other


@pytest.fixture(scope="session")
def squares(tmp_path_factory) -> Path:
    """A class-per-folder tree: 24 pictures of each of three classes, 32 x 32."""
    root = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / name).mkdir()
        for i in range(24):
            draw_square(rng, colour).save(root / name / f"{i:02d}.png")
    return root


@pytest.fixture(scope="session")
def toy_module(squares) -> ToyNet:
    """A ToyNet that tells the squares apart."""
    from vebi.data.loader import batches
    from vebi.data.sources import open_images
    from vebi.models.preprocess import Preprocess

    torch.manual_seed(0)
    net = ToyNet()
    images = open_images(squares)
    (batch,) = batches(images, range(len(images)), Preprocess(SIZE, net.mean, net.std).prepare, len(images))
    labels = torch.tensor(batch.labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(net(batch.inputs), labels).backward()
        optimizer.step()
    net.eval()
    assert (net(batch.inputs).argmax(1) == labels).all()
    return net


@pytest.fixture
def toy(toy_module):
    """The toy network as a Classifier."""
    from vebi.models.classifier import Classifier
    from vebi.models.preprocess import Preprocess

    return Classifier(toy_module, Preprocess(SIZE, ToyNet.mean, ToyNet.std), ToyNet.class_names)
