"""All benchmarks, one after the other: ``make bench``. Minutes long; the machine should do nothing else."""

from pathlib import Path

import bench_align
import bench_attention
import bench_build
import bench_layout
import bench_read
import bench_repartition
from measure import machine

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "mosi"


def main():
    print(machine())
    if REAL.is_dir():
        bench_align.run(REAL)
    else:
        print(f"\nNo comparison with the SDK: the real intervals of CMU-MOSI are not at {REAL}.")
    bench_build.run()
    bench_read.run()
    bench_layout.run()
    bench_attention.run()
    bench_repartition.run(REAL.parent)


if __name__ == "__main__":
    main()
