"""The benchmark of the attention layer compares equal functions, and shows the gain that is asked of it."""

import bench_attention
import pytest
from measure import in_process


@pytest.mark.parametrize("kind", bench_attention.KINDS)
def test_every_layer_of_the_benchmark_computes_the_same(kind):
    apart = bench_attention._differences(kind, divergence=False)
    assert apart["output"] <= 1e-5
    assert apart["gradient"] <= 1e-5


def test_both_divergences_of_the_benchmark_are_the_same():
    assert bench_attention._differences("plain", divergence=True)["output"] <= 1e-5


@pytest.mark.slow
def test_the_layer_is_five_times_faster_with_a_third_of_the_memory():
    """On one thread: with two, other programs on the machine would be measured too."""
    own, plain = (
        in_process(bench_attention.__file__, kind, *bench_attention.SETTING, 0.0, 1, 2, 1.0)
        for kind in ("own", "plain")
    )
    assert plain["seconds"] >= 5 * own["seconds"]
    assert plain["growth_mib"] >= 3 * own["growth_mib"]
    assert max(plain["output"], plain["gradient"]) <= 1e-5
