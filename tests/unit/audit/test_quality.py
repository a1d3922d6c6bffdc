from __future__ import annotations

import numpy as np
import pytest

from firstscan.audit import check_quality, cut_share, ghost_share, noise_share
from firstscan.domain.volume import Volume

SHAPE = (48, 52, 44)


def phantom(noise=0.02, seed=0):
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
    mask = ((grid / 0.6) ** 2).sum(0) < 1
    signal = mask * (0.7 + 0.3 * np.sin(3 * grid[0]) * np.cos(2 * grid[1]))
    image = np.hypot(signal + rng.normal(0, noise, SHAPE), rng.normal(0, noise, SHAPE))
    return image.astype(np.float32), mask


def volume(image, mask):
    return Volume("x", image[None], mask, (1.0, 1.0, 1.0), np.eye(4), ("image",), "mr")


def ghosted(image, strength):
    spectrum = np.fft.fft(image, axis=1)
    spectrum[:, ::2] *= np.exp(1j * strength)
    return np.abs(np.fft.ifft(spectrum, axis=1)).astype(np.float32)


def test_a_good_scan_has_no_finding():
    assert check_quality(volume(*phantom())) == ()


def test_noise_grows_with_noise():
    shares = [noise_share(*phantom(noise)) for noise in (0.01, 0.03, 0.09)]
    assert shares[0] < shares[1] < shares[2]
    found = check_quality(volume(*phantom(0.2)))
    assert "noisy" in [f.code for f in found]


def test_ghosts_are_seen_beside_the_body_only():
    image, mask = phantom()
    assert ghost_share(image, mask) == pytest.approx(0, abs=1e-3)
    assert ghost_share(ghosted(image, 0.3), mask) > 0.02
    (found,) = check_quality(volume(ghosted(image, 0.3), mask))
    assert (found.code, found.severity) == ("ghosting", "warn")
    assert found.measured > found.threshold


def test_zero_padding_is_no_ghost():
    image, mask = phantom()
    image[:5], image[-5:], image[:, :5], image[:, :, :4] = 0, 0, 0, 0
    assert ghost_share(image, mask) == pytest.approx(0, abs=1e-3)


def test_cut_off_anatomy():
    image, mask = phantom()
    assert cut_share(mask) == 0
    assert cut_share(mask[:, :, 22:]) > 0.9
    (found,) = check_quality(volume(image[:, :, 22:], mask[:, :, 22:]))
    assert (found.code, found.severity) == ("cut-off", "note")


def test_crops_without_air_are_not_judged():
    image, mask = phantom()
    box = (slice(18, 30),) * 3
    assert cut_share(mask[box]) is None
    assert ghost_share(image[box], mask[box]) is None
