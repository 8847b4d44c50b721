import json
import os
from dataclasses import replace

import numpy as np
import pytest
from support import SIZE, ToyNet

import vebi
from vebi.data.decode import decode
from vebi.errors import ImageError, InputError, RunError, UsageError, VebiWarning
from vebi.reports.gallery import arrays, write_gallery


@pytest.fixture(scope="module")
def found(toy_module, squares):
    preprocess = vebi.Preprocess(SIZE, ToyNet.mean, ToyNet.std)
    return vebi.interpret(vebi.Classifier(toy_module, preprocess, ToyNet.class_names), squares, mu=1)


def test_a_figure_for_every_picture_and_the_same_in_words(found, squares, tmp_path):
    rows = write_gallery(found, [squares / "red", squares / "blue" / "00.png"], tmp_path / "deep" / "out", features=2)
    out = tmp_path / "deep" / "out"
    written = json.loads((out / "explanations.json").read_text())
    assert written["explanations"] == rows
    assert written["provenance"]["model_sha256"] == found.provenance["settings"]["model"]["sha256"]
    assert [row["image"] for row in rows] == [str(squares / "red" / f"{i:02d}.png") for i in range(24)] + [
        str(squares / "blue" / "00.png")
    ]
    assert len({row["figure"] for row in rows}) == 25 and rows[-1]["figure"] == "00-2.png"  # two are called 00.png
    first = vebi.explain(found, squares / "red" / "00.png", features=2)
    assert rows[0]["prediction"] == rows[0]["target"] == "red"
    assert 1 <= len(rows[0]["evidence"]) <= 2
    assert [e["feature"] for e in rows[0]["evidence"]] == [str(e.feature) for e in first.evidence]
    assert rows[0]["evidence"][0]["contribution"] == pytest.approx(first.evidence[0].contribution, rel=1e-5)
    red, blue = (np.asarray(decode(out / name)) for name in ("00.png", "00-2.png"))
    assert red.shape[0] > 200 and not np.array_equal(red, blue)


def test_raw_arrays_lie_beside_every_figure(found, squares, tmp_path):
    rows = write_gallery(found, [squares / "red" / "00.png"], tmp_path, features=2)
    explanation = vebi.explain(found, squares / "red" / "00.png", features=2)
    with np.load(tmp_path / rows[0]["arrays"], allow_pickle=False) as held:
        assert held["features"].tolist() == [str(e.feature) for e in explanation.evidence]
        assert held["contributions"] == pytest.approx([e.contribution for e in explanation.evidence], rel=1e-6)
        assert held["heatmaps"].shape == (len(explanation.evidence), SIZE, SIZE)
        assert held["heatmaps"].max() != pytest.approx(1)  # raw, not scaled
        for one, e in zip(held["heatmaps"], explanation.evidence, strict=True):
            assert one == pytest.approx(e.heatmap, rel=1e-4, abs=1e-8)
        assert held["combined"] == pytest.approx(explanation.combined(), abs=1e-4)
        assert (held["picture"] == explanation.picture).all()
    write_gallery(found, [squares / "red" / "01.png"], tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01.npz", "01.png", "explanations.json"]


def test_arrays_without_any_evidence(found, squares):
    explanation = replace(vebi.explain(found, squares / "red" / "00.png"), evidence=())
    held = arrays(explanation)
    assert held["heatmaps"].shape == (0, SIZE, SIZE) and held["features"].shape == held["contributions"].shape == (0,)
    assert not held["combined"].any()


def test_bad_pictures_are_skipped_named_and_counted(found, squares, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes((squares / "red" / "00.png").read_bytes()[:200])
    pictures = [bad, squares / "red" / "00.png"]
    with pytest.warns(VebiWarning, match="1 of 2 pictures .*/bad.png is damaged"):
        assert len(write_gallery(found, pictures, tmp_path / "out")) == 1
    with pytest.raises(ImageError, match="bad.png is damaged"):
        write_gallery(found, pictures, tmp_path / "out", strict=True)
    with pytest.raises(ImageError, match="none of the 1 files could be decoded, first: .*bad.png is damaged"):
        write_gallery(found, [bad], tmp_path / "out")


def test_pictures_are_never_overwritten(found, squares, tmp_path):
    """``--out`` may be, by mistake, the folder of the pictures themselves."""
    picture = tmp_path / "a.png"
    os.link(squares / "red" / "00.png", picture)
    before = picture.read_bytes()
    with pytest.raises(RunError, match="a.png lies in it"):
        write_gallery(found, [picture], tmp_path)
    with pytest.raises(RunError, match="holds other files and no explanations"):
        write_gallery(found, [squares / "red" / "00.png"], tmp_path)
    assert picture.read_bytes() == before
    for _ in range(2):  # a gallery may be made again
        write_gallery(found, [picture], tmp_path / "out")
    write_gallery(found, [squares / "red" / "00.png"], tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["00.npz", "00.png", "explanations.json"]
    with pytest.raises(RunError, match="00.png lies in it"):  # its own figures are no pictures to explain
        write_gallery(found, [tmp_path / "out"], tmp_path / "out")


def test_places_and_pictures_are_checked_before_anything_is_computed(found, squares, tmp_path, monkeypatch):
    monkeypatch.setattr("vebi.reports.gallery.explanations", lambda *_, **__: pytest.fail("computed in vain"))
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="it is a file"):
        write_gallery(found, [squares / "red"], tmp_path / "file")
    with pytest.raises(InputError, match="no.png does not exist"):
        write_gallery(found, [tmp_path / "no.png"], tmp_path / "out")


@pytest.mark.parametrize("options", [dict(features=0), dict(target="rot"), dict(stride_fix="x")])
def test_options_that_cannot_be(found, squares, tmp_path, options):
    with pytest.raises(UsageError):
        write_gallery(found, [squares / "red" / "00.png"], tmp_path / "out", **options)


def test_what_was_explained_before_an_interruption_is_kept(found, squares, tmp_path):
    def stop(done, _):
        if done >= 2:
            raise KeyboardInterrupt

    pictures = [squares / "red" / f"{k:02d}.png" for k in range(6)]
    with pytest.raises(KeyboardInterrupt):
        write_gallery(found, pictures, tmp_path / "out", batch_size=2, progress=stop)
    rows = json.loads((tmp_path / "out" / "explanations.json").read_text())["explanations"]
    assert [row["image"] for row in rows] == [str(p) for p in pictures[:2]]
    assert all((tmp_path / "out" / row["figure"]).exists() for row in rows)
