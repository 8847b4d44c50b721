"""The result of a benchmark on its way to JSON and back, and tables of earlier versions."""

import copy
import gzip
import json
from pathlib import Path

import pytest
from benchmark_support import own, rerun

from vebi.metrics.registry import METRICS
from vebi.reports.benchmark_report.earlier_format import RENAMED
from vebi.reports.benchmark_report.markdown import render_markdown
from vebi.reports.benchmark_report.result import BenchmarkResult

BENCHMARKS = Path(__file__).parents[4] / "benchmarks"


@pytest.fixture(scope="module")
def earlier():
    """The table of the paper's experiment as an earlier version wrote it."""
    return json.loads(gzip.decompress((Path(__file__).parent / "earlier_table.json.gz").read_bytes()))


def test_an_earlier_table_is_read_with_every_number(earlier):
    result = BenchmarkResult.from_dict(earlier)
    for rows, plain_rows in ((result.rows, earlier["rows"]), (result.transformed_rows, earlier["transformed_rows"])):
        assert len(rows) == len(plain_rows) == 32
        for row, plain in zip(rows, plain_rows, strict=True):
            assert (row.dataset, row.method, row.title) == (plain["variant"], plain["method"], plain["title"])
            assert (row.in_paper, row.user_defined) == (plain["of_the_seed"], plain["own"])
            assert [*row.auc_iou, row.mean, row.std] == [*plain["auc_iou"], plain["mean"], plain["std"]]
            assert [row.ratio, *row.ratio_interval] == [plain["ratio_of_vebi_to_it"], *plain["ratio_interval"]]
            assert (row.p, row.grid_pointing) == (plain["p"], plain["grid_pointing"])
            assert list(row.grid_pointing_ratio) == plain["grid_pointing_ratio"]
            assert (row.published and list(row.published)) == plain["published"]
            assert row.metrics == {metric.name: plain[metric.name] for metric in METRICS[1:]}
            assert row.uses_network
    assert result.settings.inference == "earlier"
    for name, plain in earlier["settings"]["data"].items():
        note = result.settings.data[name]
        assert (list(note.images), list(note.mosaics)) == (plain["pictures"], plain["mosaics"])
        assert list(note.correct) == plain["predicted_right"]
        assert (note.mask_share, note.seed, note.full_size) == (plain["whole_picture"], plain["seed"], True)
        assert [network.model for network in note.networks] == [network["model"] for network in plain["networks"]]
    written = result.to_dict()
    for name in ("curves", "sensitivity"):
        assert written[name] == earlier[name]
    assert {name: written["settings"][name] for name in earlier["settings"] if name != "data"} == {
        name: value for name, value in earlier["settings"].items() if name != "data"
    }


def test_the_committed_markdown_is_that_of_the_committed_table():
    text = (BENCHMARKS / "table1.md").read_text(encoding="utf-8")
    table = json.loads((BENCHMARKS / "table1.json").read_text(encoding="utf-8"))
    assert text == render_markdown(BenchmarkResult.from_dict(table)), "render it anew from benchmarks/table1.json"


@pytest.mark.parametrize(
    "result",
    [rerun(), own(), own("odd", ratio=float("inf")), own(ratio_interval=None)],
    ids=["rerun", "own", "infinite", "none"],
)
def test_json_and_back(result):
    assert BenchmarkResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_new_files_have_the_new_keys(earlier):
    written = BenchmarkResult.from_dict(earlier).to_dict()
    for plain in (*written["rows"], *written["transformed_rows"], *written["settings"]["data"].values()):
        assert not set(plain) & {*RENAMED, "mosaics_of"}
    assert BenchmarkResult.from_dict(written) == BenchmarkResult.from_dict(earlier)


def test_mosaics_of_halved_images_are_read(earlier):
    halved = copy.deepcopy(earlier)
    halved["settings"]["data"]["single-6c"]["mosaics_of"] = "halved pictures"
    data = BenchmarkResult.from_dict(halved).settings.data
    assert (data["single-6c"].full_size, data["double-12c"].full_size) == (False, True)


def test_what_is_no_table_is_an_error():
    plain = rerun().to_dict()
    with pytest.raises(KeyError, match="curves"):
        BenchmarkResult.from_dict({name: value for name, value in plain.items() if name != "curves"})
    plain["settings"]["unknown"] = 1
    with pytest.raises(TypeError, match="unknown"):
        BenchmarkResult.from_dict(plain)
