import os
import time

import pytest
from click.testing import CliRunner
from joblib import parallel_config

from mer_data.build import build_store
from mer_data.commands import main
from mer_data.errors import MerDataError, SourceError
from mer_data.parallel import in_order
from mer_data.sources import open_source
from mer_data.sources.sample import SampleSize, write_sample
from mer_data.store.reader import FeatureStore


class Slow:
    """Earlier parts take longer, so that they end out of order."""

    def __call__(self, number):
        time.sleep(0.02 * (5 - number % 5))
        return number, os.getpid()


class Failing:
    def __call__(self, number):
        if number == 3:
            raise SourceError("part 3 is broken", do="Mend it")
        return number


class Dying:
    def __call__(self, number):
        os._exit(9)


def build(folder, target, **options):
    build_store(open_source("sample", folder), target, **options)
    return FeatureStore.open(target).attribute("content_digest"), target.read_bytes()


def test_parts_come_in_order_from_several_processes():
    found = list(in_order(Slow(), 20, 2))
    assert [number for number, _ in found] == list(range(20))
    assert len({process for _, process in found} - {os.getpid()}) == 2


def test_one_worker_is_this_process():
    assert list(in_order(Slow(), 2, 1)) == [(0, os.getpid()), (1, os.getpid())]


def test_no_parts():
    assert list(in_order(Slow(), 0, 2)) == []


def test_an_error_of_a_part_arrives_as_it_was():
    taken = []
    with pytest.raises(SourceError, match=r"^part 3 is broken\. Mend it\.$"):
        taken.extend(in_order(Failing(), 9, 2))


def test_a_worker_that_dies_is_told():
    with pytest.raises(MerDataError, match=r"a worker process died.* Pass fewer --workers"):
        list(in_order(Dying(), 2, 2))


@pytest.mark.parametrize("alignment", ["aligned", "unaligned"])
def test_the_store_is_the_same_for_any_number_of_workers(sample_folder, sample_stores, tmp_path, alignment):
    one = FeatureStore.open(sample_stores[alignment]).attribute("content_digest")
    for workers in (2, 3):
        digest, content = build(sample_folder, tmp_path / "s.h5", alignment=alignment, workers=workers)
        assert digest == one
        assert content == sample_stores[alignment].read_bytes()


def test_progress_counts_videos_with_workers_too(sample_folder, tmp_path):
    calls = []
    source = open_source("sample", sample_folder)
    build_store(
        source,
        tmp_path / "s.h5",
        alignment="unaligned",
        workers=2,
        progress=lambda *counts: calls.append(counts),
    )
    assert calls == [(number, 8) for number in range(1, 9)]


def test_a_worker_sees_files_that_were_replaced(sample_folder, tmp_path):
    """Worker processes live on between builds; they must not read an earlier file of the same name."""
    digests = []
    for seed in (1, 2):
        write_sample(tmp_path / "raw", seed, SampleSize(num_videos=4, segments_per_video=4))
        two, _ = build(tmp_path / "raw", tmp_path / "s.h5", alignment="unaligned", workers=2)
        one, _ = build(tmp_path / "raw", tmp_path / "t.h5", alignment="unaligned")
        assert one == two
        digests.append(one)
    assert digests[0] != digests[1]


def test_a_dask_cluster_builds_the_same_store(sample_folder, sample_stores, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the package distributed is not installed")
    one = FeatureStore.open(sample_stores["aligned"]).attribute("content_digest")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        parallel_config("dask"),
    ):
        digest, _ = build(sample_folder, tmp_path / "s.h5", alignment="aligned", workers=2)
        tasks = [len(log) for log in client.run(lambda dask_worker: list(dask_worker.state.log)).values()]
        command = ["build", "--dataset", "sample", "--source", str(sample_folder), "--alignment", "aligned"]
        command += ["--out", str(tmp_path / "c.h5"), "--workers", "2", "--dask", cluster.scheduler_address]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
    assert digest == FeatureStore.open(tmp_path / "c.h5").attribute("content_digest") == one
    assert len(tasks) == 2
    assert all(tasks)


def test_no_scheduler_at_the_address_is_told(sample_folder, tmp_path):
    pytest.importorskip("distributed", reason="the package distributed is not installed")
    command = ["build", "--dataset", "sample", "--source", str(sample_folder), "--dask", "nowhere:port"]
    result = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "s.h5")])
    assert result.exit_code == 1
    assert "no Dask scheduler answers in nowhere:port" in result.output
