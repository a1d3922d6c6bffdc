"""View algebra: every view is undone exactly, and identical views never disagree."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from firstscan.learning.views import AXIS_ORDERS, NINE_VIEWS, View, restore, transform

any_view = st.builds(View, st.integers(0, 3), st.sampled_from(AXIS_ORDERS))


@given(view=any_view, size=st.integers(1, 5), channels=st.integers(1, 3), seed=st.integers(0, 999))
def test_restore_undoes_transform(view: View, size: int, channels: int, seed: int) -> None:
    cube = torch.rand(2, channels, size, size, size, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(restore(transform(cube, view), view), cube)
    assert torch.equal(transform(restore(cube, view), view), cube)


@given(seed=st.integers(0, 999))
def test_identical_reconstructions_have_no_variance(seed: int) -> None:
    cube = torch.rand(1, 1, 4, 4, 4, generator=torch.Generator().manual_seed(seed))
    back = torch.stack([restore(transform(cube, view), view) for view in NINE_VIEWS])
    assert float(back.var(dim=0, unbiased=False).max()) == 0.0


def test_the_nine_views_differ() -> None:
    cube = torch.arange(27.0).reshape(1, 3, 3, 3)
    seen = {tuple(transform(cube, view).flatten().tolist()) for view in NINE_VIEWS}
    assert len(seen) == len(NINE_VIEWS) == 9


def test_a_view_that_is_not_undone_is_noticed() -> None:
    cube = torch.rand(1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    for view in NINE_VIEWS[1:]:
        assert not torch.equal(transform(cube, view), cube)
