import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from support import SIZE, ToyNet

import vebi
from vebi.data.decode import decode
from vebi.errors import ImageError, InputError, RunError, UsageError, VebiWarning
from vebi.reports.gallery import arrays, write_gallery


@pytest.fixture(scope="module")
def interpretation(toy_module, squares):
    preprocess = vebi.Preprocess(SIZE, ToyNet.mean, ToyNet.std)
    return vebi.interpret(vebi.Classifier(toy_module, preprocess, ToyNet.class_names), squares, mu=1)


def test_a_figure_and_a_row_for_every_image(interpretation, squares, tmp_path):
    rows = write_gallery(
        interpretation, [squares / "red", squares / "blue" / "00.png"], tmp_path / "deep" / "out", max_features=2
    )
    out = tmp_path / "deep" / "out"
    written = json.loads((out / "explanations.json").read_text())
    assert written["explanations"] == rows
    assert written["provenance"]["model_sha256"] == interpretation.settings.model.sha256
    assert [row["image"] for row in rows] == [str(squares / "red" / f"{i:02d}.png") for i in range(24)] + [
        str(squares / "blue" / "00.png")
    ]
    assert len({row["figure"] for row in rows}) == 25
    assert rows[-1]["figure"] == "00-2.png"
    first = vebi.explain(interpretation, squares / "red" / "00.png", max_features=2)
    assert rows[0]["prediction"] == rows[0]["target"] == "red"
    assert 1 <= len(rows[0]["evidence"]) <= 2
    assert [e["feature"] for e in rows[0]["evidence"]] == [str(e.feature) for e in first.evidence]
    assert rows[0]["evidence"][0]["contribution"] == pytest.approx(first.evidence[0].contribution, rel=1e-5)
    red, blue = (np.asarray(decode(out / name)) for name in ("00.png", "00-2.png"))
    assert red.shape[0] > 200
    assert not np.array_equal(red, blue)


def test_raw_arrays_lie_beside_every_figure(interpretation, squares, tmp_path):
    options = {"max_features": 2, "recipe": vebi.Recipe.paper()}
    rows = write_gallery(interpretation, [squares / "red" / "00.png"], tmp_path, **options)
    explanation = vebi.explain(interpretation, squares / "red" / "00.png", **options)
    with np.load(tmp_path / rows[0]["arrays"], allow_pickle=False) as stored:
        assert sorted(stored) == ["combined", "contributions", "features", "heatmaps", "image"]
        assert stored["features"].tolist() == [str(e.feature) for e in explanation.evidence]
        assert stored["contributions"] == pytest.approx([e.contribution for e in explanation.evidence], rel=1e-6)
        assert stored["heatmaps"].shape == (len(explanation.evidence), SIZE, SIZE)
        assert stored["heatmaps"].max() != pytest.approx(1)  # raw, not scaled
        for heatmap, e in zip(stored["heatmaps"], explanation.evidence, strict=True):
            assert heatmap == pytest.approx(e.heatmap, rel=1e-4, abs=1e-8)
        assert stored["combined"] == pytest.approx(explanation.combined_map(), abs=1e-4)
        assert (stored["image"] == explanation.image).all()
    write_gallery(interpretation, [squares / "red" / "01.png"], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01.npz", "01.png", "explanations.json"]


def test_arrays_without_any_evidence(interpretation, squares):
    explanation = replace(vebi.explain(interpretation, squares / "red" / "00.png"), evidence=())
    stored = arrays(explanation)
    assert stored["heatmaps"].shape == (0, SIZE, SIZE)
    assert stored["features"].shape == stored["contributions"].shape == (0,)
    assert not stored["combined"].any()


def test_damaged_images_are_skipped_named_and_counted(interpretation, squares, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes((squares / "red" / "00.png").read_bytes()[:200])
    images = [bad, squares / "red" / "00.png"]
    with pytest.warns(VebiWarning, match=r"1 of 2 .*bad\.png"):
        assert len(write_gallery(interpretation, images, tmp_path / "out")) == 1
    with pytest.raises(ImageError, match=r"bad\.png"):
        write_gallery(interpretation, images, tmp_path / "out", strict=True)
    with pytest.raises(ImageError, match=r"none of the 1 .*bad\.png"):
        write_gallery(interpretation, [bad], tmp_path / "out")


@pytest.mark.filterwarnings("ignore:.*are left out:vebi.errors.VebiWarning")
def test_images_are_never_overwritten(interpretation, squares, tmp_path):
    """``out`` may be, by mistake, the folder of the images themselves."""
    image = tmp_path / "a.png"
    os.link(squares / "red" / "00.png", image)
    before = image.read_bytes()
    with pytest.raises(RunError, match=r"a\.png"):
        write_gallery(interpretation, [image], tmp_path)
    with pytest.raises(RunError, match=re.escape(str(tmp_path))):
        write_gallery(interpretation, [squares / "red" / "00.png"], tmp_path)
    assert image.read_bytes() == before
    for _ in range(2):  # a gallery may be made again
        write_gallery(interpretation, [image], tmp_path / "out")
    write_gallery(interpretation, [squares / "red" / "00.png"], tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["00.npz", "00.png", "explanations.json"]
    with pytest.raises(RunError, match=r"00\.png"):  # its own figures are no images to explain
        write_gallery(interpretation, [tmp_path / "out"], tmp_path / "out")


def test_folders_and_images_are_checked_before_anything_is_computed(interpretation, squares, tmp_path, monkeypatch):
    monkeypatch.setattr("vebi.explanation.explain.explain_batch", lambda *_, **__: pytest.fail("computed in vain"))
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file"):
        write_gallery(interpretation, [squares / "red"], tmp_path / "file")
    with pytest.raises(InputError, match=r"no\.png"):
        write_gallery(interpretation, [tmp_path / "no.png"], tmp_path / "out")


@pytest.mark.parametrize("options", [{"max_features": 0}, {"target": "rot"}, {"batch_size": 0}])
def test_options_that_cannot_be(interpretation, squares, tmp_path, options):
    write_gallery(interpretation, [squares / "red" / "00.png"], tmp_path / "out")
    with pytest.raises(UsageError):
        write_gallery(interpretation, [squares / "red" / "01.png"], tmp_path / "out", **options)
    assert (tmp_path / "out" / "00.png").exists()  # the earlier gallery stays


@pytest.mark.parametrize("files", [{"figure": "a.png", "arrays": "a.npz"}, {"figure": "a.png"}])
def test_galleries_of_earlier_versions_are_cleared(interpretation, squares, tmp_path, files):
    evidence = [{"feature": "relu:3", "contribution": 0.5}]
    row = {"image": "x/a.png", "prediction": "red", "probability": 1.0, "target": "red", "evidence": evidence, **files}
    (tmp_path / "explanations.json").write_text(json.dumps({"provenance": {"mu": 1}, "explanations": [row]}))
    for name in files.values():
        (tmp_path / name).touch()
    write_gallery(interpretation, [squares / "red" / "00.png"], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00.npz", "00.png", "explanations.json"]


def figure(name):
    return json.dumps({"explanations": [{"figure": name}]})


@pytest.mark.parametrize(
    "content",
    [
        *("{", "[]", '{"explanations": [1]}', '{"explanations": [{"figure": 1}]}', "[" * 100_000 + "]" * 100_000),
        *map(figure, ("a\0.png", "\ud800.png", ".", "..", "", "a" * 300, "sub")),
    ],
    ids=range(12),
)
def test_a_folder_with_another_explanations_json_is_left_alone(interpretation, squares, tmp_path, content):
    (tmp_path / "explanations.json").write_text(content)
    (tmp_path / "sub").mkdir()
    with pytest.raises(RunError, match=re.escape(str(tmp_path))):
        write_gallery(interpretation, [squares / "red" / "00.png"], tmp_path)
    assert (tmp_path / "explanations.json").read_text() == content


def test_what_was_explained_before_an_interruption_is_kept(interpretation, squares, tmp_path):
    def stop(done, _):
        if done >= 2:
            raise KeyboardInterrupt

    images = [squares / "red" / f"{k:02d}.png" for k in range(6)]
    with pytest.raises(KeyboardInterrupt):
        write_gallery(interpretation, images, tmp_path / "out", batch_size=2, progress=stop)
    rows = json.loads((tmp_path / "out" / "explanations.json").read_text())["explanations"]
    assert [row["image"] for row in rows] == [str(p) for p in images[:2]]
    assert all((tmp_path / "out" / row["figure"]).exists() for row in rows)
