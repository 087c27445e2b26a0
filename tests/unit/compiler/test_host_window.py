"""The host window: pages without gaps, sizes from the configuration."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compiler.host_window import PAGE_BYTES, host_window, window_bytes


@pytest.mark.parametrize("config", TARGETS.values(), ids=list(TARGETS))
def test_regions_follow_each_other_on_pages(config: AcceleratorConfig) -> None:
    regions = host_window(config)
    assert regions[0].offset == 0
    for region, following in pairwise(regions):
        assert region.stop == following.offset
    for region in regions:
        assert region.offset % PAGE_BYTES == 0
        assert region.size >= PAGE_BYTES
        assert region.access in ("read", "write", "both")
    assert len({region.name for region in regions}) == len(regions)


@pytest.mark.parametrize("config", TARGETS.values(), ids=list(TARGETS))
def test_the_window_is_the_smallest_power_of_two(config: AcceleratorConfig) -> None:
    size, used = window_bytes(config), host_window(config)[-1].stop
    assert size & (size - 1) == 0
    assert size // 2 < used <= size


@pytest.mark.parametrize("config", TARGETS.values(), ids=list(TARGETS))
def test_every_word_row_and_counter_has_an_address(config: AcceleratorConfig) -> None:
    sizes = {region.name: region.size for region in host_window(config)}
    assert 8 * sizes["weights"] * 8 >= config.weight_memory_bits
    assert sizes["weights"] >= 8 * config.cores * config.multipliers // (
        config.multipliers_per_window
    ) * (config.weight_words)
    assert sizes["tails"] >= 8 * config.cores * config.rows
    assert sizes["counters"] >= 8 * 6 * config.cores
