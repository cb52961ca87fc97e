"""Animations as GIF, WebP and MP4."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import PIL.Image

from analysis.animation.frames import Animation
from tracking.atomic_files import write_output
from tracking.errors import UserError
from tracking.wording import install_extra

EXTENSIONS = (".gif", ".webp", ".mp4")

_WEBP_QUALITY = 85
_VIDEO_QUALITY = "18"
"""H.264's constant rate factor; at 18 the loss is hardly visible."""

_UNITS = {"GIF": 10, "WEBP": 1}
"""Milliseconds in which a format counts how long a frame is shown."""

_FRAMES_PER_SECOND = 30
"""The frame rate of videos; a frame that is shown for longer is repeated."""


class VideoError(UserError):
    """A video cannot be written because PyAV is not installed."""


def check_can_write(path: Path) -> None:
    """Raise VideoError if a file is a video and PyAV is not installed."""
    if path.suffix.lower() == ".mp4":
        try:
            import av  # noqa: F401
        except ImportError as error:
            raise VideoError(
                f"{path} needs PyAV, which is not installed.\n"
                f"Install it with: {install_extra('video')}\n"
                "Or write a .gif or .webp, which need nothing else."
            ) from error


def save_animation(animation: Animation, path: Path) -> None:
    """Write an animation that loops, in the format that the file's extension names.

    Args:
        animation: What to write.
        path: The file, with one of EXTENSIONS. It is complete or absent, even if the process
            dies. Its folder is created if it is missing.

    Raises:
        VideoError: PyAV is missing.
        StoreError: The file cannot be written.
    """
    check_can_write(path)
    with write_output(path) as temporary:
        if path.suffix.lower() == ".mp4":
            _write_video(animation, temporary)
        else:
            kind = "GIF" if path.suffix.lower() == ".gif" else "WEBP"
            temporary.write_bytes(_encoded(animation, kind, _WEBP_QUALITY))


def as_webp(animation: Animation, max_bytes: int) -> bytes:
    """An animation as WebP of at most `max_bytes`; every second frame is dropped until it fits."""
    frames, seconds = list(animation.frames), list(animation.seconds)
    while True:
        content = _encoded(Animation(tuple(frames), tuple(seconds)), "WEBP", _WEBP_QUALITY)
        if len(content) <= max_bytes or len(frames) <= 2:
            return content
        # From the end, so that the last frame stays.
        frames = frames[::-2][::-1]
        seconds = [2 * each for each in seconds[::-2][::-1][:-1]] + seconds[-1:]


def _encoded(animation: Animation, kind: str, quality: int) -> bytes:
    first, *others = animation.frames
    buffer = io.BytesIO()
    first.save(
        buffer,
        format=kind,
        save_all=True,
        append_images=others,
        duration=_milliseconds(animation.seconds, _UNITS[kind]),
        loop=0,
        quality=quality,
    )
    return buffer.getvalue()


def _milliseconds(seconds: Sequence[float], unit: int) -> list[int]:
    """How long frames are shown, in whole units of so many milliseconds, at least one.

    Their ends are rounded, because 15 frames per second of 60 ms each would run a tenth too fast.
    """
    ends = [round(1000 * end / unit) for end in accumulate(seconds)]
    return [max(1, end - start) * unit for start, end in pairwise([0, *ends])]


def _write_video(animation: Animation, path: Path) -> None:
    import av

    width, height = animation.frames[0].size
    size = (width + width % 2, height + height % 2)  # H.264 stores colours at half the size
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream(
            "libx264", rate=_FRAMES_PER_SECOND, options={"crf": _VIDEO_QUALITY}
        )
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        shown, until = 0, 0.0
        for picture, seconds in zip(animation.frames, animation.seconds, strict=True):
            until += seconds
            frame = av.VideoFrame.from_image(_even(picture.convert("RGB"), size))
            for _ in range(max(1, round(until * _FRAMES_PER_SECOND) - shown)):
                frame.pts = shown
                container.mux(stream.encode(frame))
                shown += 1
        container.mux(stream.encode())


def _even(picture: PIL.Image.Image, size: tuple[int, int]) -> PIL.Image.Image:
    if picture.size == size:
        return picture
    larger = PIL.Image.new(picture.mode, size)
    larger.paste(picture, (0, 0))
    return larger
