"""The OCSP benchmark measures answers, not mistakes."""

from __future__ import annotations

import pytest
from bench.ocsp import OcspFigures, bench_ocsp


@pytest.mark.parametrize("key", ["rsa-2048", "ecdsa-p256"])
def test_it_gives_figures_of_right_answers(key: str) -> None:
    figures = bench_ocsp(20, key=key)
    assert isinstance(figures, OcspFigures)
    assert figures.signed > 0
    assert figures.reused > 0
    assert f"{key}, 20 certificates" in str(figures)
