"""The figures that the runner reads from a fuzzer's output."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz.run import figures, write_seeds
from tests.fuzz.targets import target

OUTPUT = """#12	INITED cov: 10 ft: 20 corp: 3/30b exec/s: 0 rss: 60Mb
#4096	REDUCE cov: 108 ft: 360 corp: 53/6587b lim: 2048 exec/s: 2048 rss: 60Mb
#9646	DONE   cov: 108 ft: 362 corp: 53/6550b lim: 2048 exec/s: 1929 rss: 60Mb
"""


def test_figures_are_those_of_the_last_line() -> None:
    assert figures(OUTPUT) == (9646, 362)
    assert figures(OUTPUT + "stat::number_of_executed_units: 11285\n") == (11285, 362)
    assert figures("nothing") == (0, 0)


def test_each_seed_is_one_file_however_often_it_is_written(tmp_path: Path) -> None:
    for _ in range(2):
        write_seeds("exif", tmp_path)
    written = {file.read_bytes() for file in tmp_path.iterdir()}
    assert written == set(target("exif").seeds())
