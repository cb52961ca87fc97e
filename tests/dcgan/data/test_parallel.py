"""Work on images in several processes."""

from __future__ import annotations

import signal

import pytest

from dcgan.data.image_set import DataError
from dcgan.data.parallel import SERIAL_LIMIT, map_chunks


def test_a_process_that_dies_is_told_of_and_others_take_its_place() -> None:
    with pytest.raises(DataError, match="A process that read images died"):
        list(map_chunks(signal.raise_signal, [(signal.SIGKILL,)], SERIAL_LIMIT + 1))
    assert list(map_chunks(abs, [(-1,), (2,)], SERIAL_LIMIT + 1)) == [1, 2]
