"""Both implementations of the decoders, for tests that ask for them."""

from __future__ import annotations

import pytest

from sparsespeech.decoding import implementation


@pytest.fixture(params=["numpy", "native"])
def each_implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test on numpy and on the native module, where that was built."""
    if request.param == "numpy":
        monkeypatch.setattr(implementation, "_native", None)
    elif implementation.native_decoding() is None:
        pytest.skip("the native decoders were not built")
