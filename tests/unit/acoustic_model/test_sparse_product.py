"""Sparse linear layers of training against torch's dense ones."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from torch import Tensor

from sparsespeech.acoustic_model import sparse_product
from sparsespeech.acoustic_model.sparse_product import (
    SparsePattern,
    kernels_available,
    sparse_linear,
    usable_pattern,
)
from sparsespeech.cpu_engine import native as instruction_sets
from sparsespeech.errors import InstructionSetError

needs_kernels = pytest.mark.skipif(not kernels_available(), reason="no training kernels here")


def random_mask(rows: int, columns: int, density: float) -> Tensor:
    return (torch.rand(rows, columns) < density).float()


@given(rows=st.integers(1, 12), columns=st.integers(1, 12), density=st.floats(0.0, 1.0))
def test_a_pattern_names_the_nonzeros_both_ways(rows: int, columns: int, density: float) -> None:
    mask = random_mask(rows, columns, density)
    pattern = SparsePattern.of(mask)
    weight = torch.randn(rows, columns) * mask
    values = pattern.values(weight)
    for matrix, (first, column, value) in (
        (weight, pattern.matrix(values)),
        (weight.T, pattern.transposed(values)),
    ):
        rebuilt = csr_matrix((value, column, first), shape=tuple(matrix.shape)).toarray()
        assert np.array_equal(rebuilt, matrix.numpy())
    assert pattern.density == pytest.approx(float(mask.mean()))


@needs_kernels
@settings(deadline=None, max_examples=30)
@given(
    steps=st.integers(1, 9),
    batch=st.integers(1, 64),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 40),
    density=st.floats(0.0, 0.25),
    bfloat16=st.booleans(),
)
def test_values_and_gradients_are_those_of_the_dense_layer(
    steps: int, batch: int, inputs: int, outputs: int, density: float, bfloat16: bool
) -> None:
    mask = random_mask(outputs, inputs, density)
    x = torch.randn(steps, batch, inputs, requires_grad=True)
    weight = (torch.randn(outputs, inputs) * mask).requires_grad_()
    bias = torch.randn(outputs, requires_grad=True)
    upstream = torch.randn(steps, batch, outputs)
    dense = torch.nn.functional.linear(x, weight, bias)
    expected = torch.autograd.grad(dense, (x, weight, bias), upstream)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        sparse = sparse_linear(x, weight, bias, SparsePattern.of(mask))
    found = torch.autograd.grad(sparse, (x, weight, bias), upstream)
    tolerance = 2e-2 if bfloat16 else 1e-5
    scale = max(1.0, float((steps * batch) ** 0.5), float(inputs**0.5))
    assert torch.allclose(sparse, dense, atol=tolerance * scale)
    assert torch.allclose(found[0], expected[0], atol=tolerance * scale)
    assert torch.allclose(found[1], expected[1] * mask, atol=tolerance * scale)
    assert torch.allclose(found[2], expected[2], rtol=1e-4, atol=1e-4)
    assert not found[1][mask == 0].any()


def test_only_a_sparse_matrix_on_a_cpu_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_product, "kernels_available", lambda: True)
    few, many = (SparsePattern.of(random_mask(64, 64, density)) for density in (0.1, 0.6))
    x = torch.zeros(2, 8, 64)
    assert usable_pattern(few, x) is few
    assert usable_pattern(many, x) is None
    assert usable_pattern(None, x) is None
    assert usable_pattern(few, torch.zeros(2, 65, 64)) is None
    assert usable_pattern(few, x.to("meta")) is None


@pytest.mark.parametrize(
    ("kernels", "density", "bfloat16", "used"),
    [
        ("amx_bf16", 0.1, True, False),
        ("amx_bf16", 0.1, False, True),
        ("amx_bf16", 0.05, True, True),
        ("avx512_bf16", 0.1, True, True),
    ],
)
def test_beside_tiles_a_matrix_must_be_sparser(
    kernels: str, density: float, bfloat16: bool, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse_product, "kernels_available", lambda: True)
    monkeypatch.setattr(sparse_product, "kernel_set", lambda: kernels)
    pattern = SparsePattern.of((torch.arange(4096) < 4096 * density).float().view(64, 64))
    x = torch.zeros(2, 8, 64)
    found = usable_pattern(pattern, x, bfloat16=bfloat16)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        assert usable_pattern(pattern, x) is found
    assert found is (pattern if used else None)


def test_without_kernels_nothing_is_sparse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_product, "native", None)
    pattern = SparsePattern.of(random_mask(64, 64, 0.1))
    assert not kernels_available()
    assert usable_pattern(pattern, torch.zeros(2, 8, 64)) is None


@needs_kernels
def test_the_kernels_refuse_what_does_not_fit() -> None:
    pattern = SparsePattern.of(random_mask(8, 16, 0.2))
    x = torch.zeros(2, 16, 16).numpy()
    good = pattern.matrix(torch.ones(len(pattern.columns)))
    beyond = (good[0], good[1] + 16, good[2])
    with pytest.raises(ValueError, match="beyond the matrix"):
        sparse_product.multiply(beyond, x, bfloat16=False)
    falling = (good[0][::-1].copy(), good[1], good[2])
    with pytest.raises(ValueError, match="offsets"):
        sparse_product.multiply(falling, x, bfloat16=False)
    with pytest.raises(ValueError, match="lanes"):
        sparse_product.multiply(good, torch.zeros(2, 16, 17).numpy(), bfloat16=False)


def test_the_instruction_set_of_the_environment_governs_training_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sparse_product, "native", SimpleNamespace(available=lambda: True))
    available = ["scalar", "avx2", "avx512"]
    monkeypatch.setattr(instruction_sets, "available_instruction_sets", lambda: available)
    for name, allowed in (("scalar", False), ("avx2", False), ("avx512", True), ("", True)):
        monkeypatch.setenv("SPARSESPEECH_CPU_ISA", name)
        assert kernels_available() is allowed
    for name, message in (("mmx", "'mmx', which is no instruction set"), ("amx", "asks for amx")):
        monkeypatch.setenv("SPARSESPEECH_CPU_ISA", name)
        with pytest.raises(InstructionSetError, match=message):
            kernels_available()
