"""Animations as GIF, WebP and MP4."""

from __future__ import annotations

import io
from pathlib import Path

import PIL.Image

from analysis.animation.frames import Animation
from tracking.atomic_files import atomic_write
from tracking.errors import UserError, not_written
from tracking.wording import install_extra

ENDINGS = (".gif", ".webp", ".mp4")

_WEBP_QUALITY = 85
_VIDEO_QUALITY = "18"
"""H.264's constant rate factor, which hardly shows a loss."""

_FRAMES_PER_SECOND = 30
"""Of a video, in which a frame is repeated for as long as it is shown."""


class VideoError(UserError):
    """A video that cannot be written here."""


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
    """Write an animation that repeats, in the format of the file's ending.

    Args:
        animation: What to write.
        path: One of ENDINGS; complete or absent, even if the process dies. Its folder is made
            if it is missing.

    Raises:
        VideoError: PyAV is missing.
        StoreError: The file cannot be written.
    """
    check_can_write(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            if path.suffix.lower() == ".mp4":
                _write_video(animation, temporary)
            else:
                kind = "GIF" if path.suffix.lower() == ".gif" else "WEBP"
                temporary.write_bytes(_encoded(animation, kind, _WEBP_QUALITY))
    except OSError as error:
        raise not_written(path, error) from error


def as_webp(animation: Animation, most_bytes: int) -> bytes:
    """An animation of at most some bytes: every second frame is left out until it fits."""
    frames, seconds = list(animation.frames), list(animation.seconds)
    while True:
        content = _encoded(Animation(tuple(frames), tuple(seconds)), "WEBP", _WEBP_QUALITY)
        if len(content) <= most_bytes or len(frames) <= 2:
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
        duration=[round(1000 * each) for each in animation.seconds],
        loop=0,
        quality=quality,
    )
    return buffer.getvalue()


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
