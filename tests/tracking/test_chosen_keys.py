"""Which keys of a configuration somebody chose."""

from __future__ import annotations

import pytest

from tracking.chosen_keys import is_chosen


@pytest.mark.parametrize(
    ("path", "chosen"),
    [
        ("config/optimizer/lr", True),
        ("config/dataset/name", True),
        ("config/dataset/image_size", True),
        ("config/dataset/path", False),
        ("config/dataset/class_sizes", False),
        ("config/dataset/paged", False),
        ("config/dataset/warnings", False),
        ("config/source/url", False),
        ("sys/seed", False),
    ],
)
def test_what_was_found_in_the_data_was_not_chosen(path: str, chosen: bool) -> None:
    assert is_chosen(path) is chosen
