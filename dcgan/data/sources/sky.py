"""The data set `sky`: SYNTHETIC astronomical images, rendered from a seed.

It stands in for a published set of 200 images of stars, galaxies, planets and moons that is
not available. Lengths are in pixels of the finished image; light is linear, with 1 for white,
until `_develop` stretches it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from scipy.special import gammaincinv

from dcgan.data.decoding import Pixels

Field: TypeAlias = npt.NDArray[np.float64]
"""(H, W), or (H, W, 3) if it has colours."""

SIZE = 64
SUPERSAMPLING = 2
"""Each pixel is the mean of this many by this many, so that edges are smooth."""

RED, GREEN, BLUE = 610e-9, 550e-9, 465e-9
"""Wavelengths in metres."""


def render_sky(count: int = 200, seed: int = 0) -> tuple[Pixels, npt.NDArray[np.int64]]:
    """Images (count, 64, 64, 3), and labels (count,), which are indices into SKY_CLASSES.

    Image i depends only on `seed` and i, and its class is i modulo the number of classes.
    """
    labels = np.arange(count) % len(_SCENES)
    scenes = list(_SCENES.values())
    images = [
        _develop(scenes[label](random), random)
        for label, random in (
            (label, np.random.default_rng([seed, number])) for number, label in enumerate(labels)
        )
    ]
    return np.stack(images), labels


def sersic(radius: Field, effective_radius: float, index: float) -> Field:
    """Surface brightness, 1 at the radius within which half of the light lies (Sersic 1963).

    Args:
        radius: Distances from the centre, (H, W), in pixels.
        effective_radius: In pixels.
        index: Sersic's n: 1 for a disc, 4 for a typical elliptical galaxy.
    """
    b = gammaincinv(2 * index, 0.5)  # exactly half of the light (Ciotti and Bertin 1999)
    profile: Field = np.exp(-b * ((radius / effective_radius) ** (1 / index) - 1))
    return profile


def limb_darkening(cosine: Field, linear: float = 0.5, quadratic: float = 0.2) -> Field:
    """Brightness of a disc relative to its centre, by the quadratic law (Kopal 1950).

    Args:
        cosine: The cosine of the angle between the line of sight and the normal; 0 at the limb.
        linear: Coefficient of 1 - cosine.
        quadratic: Coefficient of (1 - cosine)^2.
    """
    distance = 1 - cosine
    brightness: Field = 1 - linear * distance - quadratic * distance**2
    return brightness


def black_body(kelvin: float) -> Field:
    """The colour (3,) of a body of this temperature, with its brightest channel 1 (Planck 1901)."""
    wavelengths = np.array([RED, GREEN, BLUE])
    radiance = wavelengths**-5.0 / np.expm1(1.4388e-2 / (wavelengths * kelvin))
    white = wavelengths**-5.0 / np.expm1(1.4388e-2 / (wavelengths * 6500))
    relative = radiance / white
    colour: Field = relative / relative.max()
    return colour


def _star_field(random: Generator) -> Field:
    """A star field or a cluster, sometimes with a nebula."""
    light = _background(random)
    if random.random() < 0.6:
        light += _nebula(random)
    crowded = random.random() < 0.4
    _add_stars(light, random, int(random.integers(60, 160)), 0.05)
    if crowded:
        spread = random.uniform(5, 10)
        _add_stars(light, random, int(random.integers(60, 150)), 0.08, spread)
    _add_stars(light, random, int(random.integers(1, 5)), 2.5)
    return light


def _spiral_galaxy(random: Generator) -> Field:
    """A reddish bulge in a blue disc with arms, dust lanes, and pink regions of ionised gas."""
    light = _background(random)
    _add_stars(light, random, int(random.integers(10, 30)), 0.05)
    across, along = _inclined(random, flattest=0.35)
    radius, angle = np.hypot(across, along), np.arctan2(along, across)
    scale = random.uniform(9, 13)
    pitch = np.tan(np.radians(random.uniform(14, 26))) * random.choice([-1, 1])
    arms = int(random.choice([2, 2, 2, 3, 4]))
    turned = arms * (angle - np.log(np.maximum(radius, 0.5) / scale) / pitch)
    turned = turned + 1.2 * (_clouds(random, 2.2) - 0.5)
    arm = np.exp(3 * (np.cos(turned) - 1))
    dust = np.exp(6 * (np.cos(turned + 0.9) - 1)) * np.clip(radius / scale - 0.15, 0, 1)

    disc = sersic(radius, scale, 1.0)
    mottled = 0.5 + _clouds(random, 1.6)
    blue, yellow = black_body(random.uniform(9_000, 14_000)), black_body(4_300)
    light += 0.10 * disc[..., None] * yellow
    light += 0.75 * (disc * arm * mottled)[..., None] * blue
    knots = np.clip(_clouds(random, 1.0) - 0.68, 0, None) * arm * disc * 6
    light += knots[..., None] * np.array([1.0, 0.25, 0.45])
    light *= 1 - 0.6 * dust[..., None] * np.array([0.8, 1.0, 1.15])
    bulge = sersic(np.hypot(across, along * 0.8), scale * 0.22, random.uniform(1.5, 3))
    light += 0.55 * bulge[..., None] * yellow
    return light


def _elliptical_galaxy(random: Generator) -> Field:
    """Old, reddish stars without structure, sometimes with small companions."""
    light = _background(random)
    _add_stars(light, random, int(random.integers(8, 30)), 0.05)
    for companion in range(1 + int(random.integers(0, 3))):
        size = random.uniform(5, 9) if companion == 0 else random.uniform(1.5, 3)
        distance = 3.0 if companion == 0 else 24.0
        x, y = random.uniform(-distance, distance, 2)
        across, along = _inclined(random, flattest=0.5, x=x, y=y)
        profile = sersic(np.hypot(across, along), size, random.uniform(2, 5))
        light += 0.35 * profile[..., None] * black_body(random.uniform(3_600, 5_200))
    return light


def _planet(random: Generator) -> Field:
    """A gas giant, an ice giant or a rocky planet, some with rings, most with a phase."""
    light = _background(random)
    _add_stars(light, random, int(random.integers(10, 40)), 0.05)
    ringed = random.random() < 0.45
    disc_radius = random.uniform(11, 14) if ringed else random.uniform(14, 24)
    x, y = random.uniform(-3, 3, 2)
    tilt = random.uniform(-0.6, 0.6)
    across, along = _turned(tilt, x, y)
    normal, inside = _sphere(across, along, disc_radius)
    kind = random.choice(["gas", "gas", "ice", "rock"])
    surface = _SURFACES[str(kind)](normal, random)
    sun = _sun(random)
    lit = np.clip(normal @ sun, 0, None) * limb_darkening(normal[..., 2])
    disc = surface * (lit * random.uniform(0.9, 1.3) + 0.006)[..., None]

    edge = np.hypot(across, along) / disc_radius
    rim = np.exp(-(((edge - 1.0) / 0.04) ** 2)) * (0.15 if kind != "rock" else 0.04)
    light += (rim * np.clip(across * sun[0] + along * sun[1], 0, None) / disc_radius)[
        ..., None
    ] * np.array([0.6, 0.8, 1.0])
    light = np.where(inside[..., None], disc, light)
    if ringed:
        light = _with_rings(light, across, along, disc_radius, inside, sun, random)
    return light


def _moon(random: Generator) -> Field:
    """Grey rock with dark plains and craters, in some phase."""
    light = _background(random)
    _add_stars(light, random, int(random.integers(5, 25)), 0.04)
    disc_radius = random.uniform(17, 27)
    across, along = _turned(0.0, *random.uniform(-3, 3, 2))
    normal, inside = _sphere(across, along, disc_radius)
    height = 0.5 * _clouds(random, 2.0)
    plains = np.clip((_clouds(random, 3.0) - 0.5) * 5, 0, 1)
    albedo = 0.75 - 0.35 * plains + 0.2 * (_clouds(random, 1.5) - 0.5)
    for _ in range(int(random.integers(25, 50))):
        height = height + _crater(random, across, along, disc_radius)
    slope_y, slope_x = np.gradient(height, 1 / SUPERSAMPLING)
    rough = normal + np.stack([-slope_x, -slope_y, np.zeros_like(height)], axis=-1) * 0.55
    rough /= np.linalg.norm(rough, axis=-1, keepdims=True)
    sun = _sun(random)
    day = np.clip(0.3 + 5 * normal @ sun, 0, 1)  # no lit slope far into the night
    lit = np.clip(rough @ sun, 0, None) ** 0.8 * day
    tone = np.array([1.0, random.uniform(0.93, 0.99), random.uniform(0.84, 0.98)])
    disc = (albedo * lit * random.uniform(0.8, 1.2) + 0.004)[..., None] * tone
    return np.where(inside[..., None], disc, light)


def _gas(normal: Field, random: Generator) -> Field:
    """Bands in latitude, torn by turbulence, and sometimes a storm."""
    palette = np.array(
        [[0.93, 0.87, 0.74], [0.70, 0.47, 0.30], [0.98, 0.94, 0.87], [0.55, 0.38, 0.28]]
    )
    torn = normal[..., 1] + 0.10 * (_clouds(random, 2.0) - 0.5)
    bands = random.permutation(np.repeat(palette, 3, axis=0))
    colours = _blended(bands, (torn + 1.2) / 2.4)
    x, y = random.uniform(-0.5, 0.5), random.choice([-1, 1]) * random.uniform(0.2, 0.4)
    storm = np.exp(
        -((((normal[..., 0] - x) / 0.22) ** 2 + ((normal[..., 1] - y) / 0.11) ** 2) ** 2)
    )
    strength = random.choice([0.0, 0.85])
    stormy: Field = colours + strength * storm[..., None] * (np.array([0.80, 0.3, 0.18]) - colours)
    return stormy


def _ice(normal: Field, random: Generator) -> Field:
    """Blue or teal, with faint bands and a few white clouds."""
    deep = np.array(random.choice([[0.25, 0.45, 0.95], [0.45, 0.85, 0.90]], axis=0))
    bands = 0.92 + 0.08 * np.sin(normal[..., 1] * random.uniform(8, 14) + random.uniform(0, 6))
    clouds = np.clip(_clouds(random, 1.8) - 0.72, 0, None) * 2
    return deep * bands[..., None] + clouds[..., None]


def _rock(normal: Field, random: Generator) -> Field:
    """Deserts or oceans with land, under polar caps and sometimes clouds."""
    red = [[0.45, 0.20, 0.12], [0.80, 0.42, 0.22], [0.92, 0.62, 0.40]]
    blue = [[0.05, 0.14, 0.42], [0.08, 0.28, 0.60], [0.25, 0.42, 0.16], [0.55, 0.45, 0.28]]
    watery = random.random() < 0.5
    colours = _blended(np.array(blue if watery else red), _clouds(random, 2.4))
    cap = np.abs(normal[..., 1]) + 0.15 * _clouds(random, 1.6) > random.uniform(0.92, 1.05)
    colours = np.where(cap[..., None], 0.95, colours)
    clouds = np.clip((_clouds(random, 1.7) - 0.5) * 2.5, 0, 1) * (0.9 if watery else 0.0)
    return colours + clouds[..., None] * (0.97 - colours)


_Surface: TypeAlias = Callable[[Field, Generator], Field]
_SURFACES: dict[str, _Surface] = {"gas": _gas, "ice": _ice, "rock": _rock}


def _with_rings(
    light: Field,
    across: Field,
    along: Field,
    disc_radius: float,
    inside: npt.NDArray[np.bool_],
    sun: Field,
    random: Generator,
) -> Field:
    """Rings from 1.25 to 2.3 radii, with Cassini's gap at 1.95, and the planet's shadow on them."""
    opening = random.uniform(0.15, 0.4)
    distance = np.hypot(across, along / opening) / disc_radius
    fine = 0.75 + 0.25 * np.sin(distance * 40 + random.uniform(0, 6)) * np.sin(distance * 17)
    density = np.where((distance > 1.25) & (distance < 2.3), fine, 0.0)
    density *= np.where(distance < 1.52, 0.45, 1.0)
    density *= np.where(np.abs(distance - 1.97) < 0.05, 0.08, 1.0)
    behind = along < 0
    density = np.where(inside & behind, 0.0, density)
    beside = across - sun[0] * np.abs(along) / opening * 0.6
    shadowed = behind & (np.abs(beside) < disc_radius)
    colour = np.array([0.95, 0.86, 0.70]) * random.uniform(0.6, 0.9)
    shine = np.where(shadowed, 0.05, 1.0)[..., None] * colour
    opacity = 0.85 * density[..., None]
    return light * (1 - opacity) + shine * opacity


def _crater(random: Generator, across: Field, along: Field, disc_radius: float) -> Field:
    """The height of a bowl with a raised rim, foreshortened towards the limb."""
    distance, angle = disc_radius * np.sqrt(random.random()) * 0.97, random.uniform(0, 2 * np.pi)
    x, y = distance * np.cos(angle), distance * np.sin(angle)
    radius = min(0.6 + random.pareto(1.8) * 0.9, 5.0)
    shortening = max(np.sqrt(1 - (distance / disc_radius) ** 2), 0.3)
    outwards = ((across - x) * np.cos(angle) + (along - y) * np.sin(angle)) / shortening
    sideways = -(across - x) * np.sin(angle) + (along - y) * np.cos(angle)
    reach = np.hypot(outwards, sideways) / radius
    bowl = -np.exp(-((reach / 0.8) ** 4))
    rim = 0.6 * np.exp(-(((reach - 1.05) / 0.25) ** 2))
    height: Field = (bowl + rim) * radius * 0.45
    return height


def _background(random: Generator) -> Field:
    """The faint glow of a dark sky (H, W, 3)."""
    width = SIZE * SUPERSAMPLING
    glow = random.uniform(0.001, 0.006) * np.array([0.8, 0.9, 1.2])
    return np.broadcast_to(glow, (width, width, 3)).copy()


def _nebula(random: Generator) -> Field:
    """Clouds of gas in one or two colours of emission or reflection."""
    tones = np.array([[0.9, 0.12, 0.25], [0.15, 0.5, 0.6], [0.15, 0.3, 0.9], [0.7, 0.3, 0.1]])
    light = np.zeros((SIZE * SUPERSAMPLING,) * 2 + (3,))
    x, y = random.uniform(-14, 14, 2)
    across, along = _turned(random.uniform(0, 3), x, y)
    middle = np.exp(-((across / 24) ** 2 + (along / 16) ** 2))
    for tone in random.permutation(tones)[:2]:
        cloud = np.clip(_clouds(random, 2.3) - 0.3, 0, None) ** 1.5
        light += random.uniform(0.15, 0.45) * (cloud * middle)[..., None] * tone
    dark = np.clip((_clouds(random, 2.2) - 0.55) * 4, 0, 1)
    return light * (1 - 0.8 * dark[..., None])


def _add_stars(
    light: Field, random: Generator, count: int, flux: float, spread: float | None = None
) -> None:
    """Add stars whose fluxes follow a power law, as images of a point (Moffat 1969).

    flux: the least at a peak. spread: standard deviation around the centre; None: everywhere.
    """
    y, x = _grid()
    sharpness, width = 2.8, random.uniform(0.75, 1.05)
    for _ in range(count):
        at = random.uniform(-33, 33, 2) if spread is None else random.normal(0, spread, 2)
        peak = min(flux * (1 + random.pareto(1.3)), 12.0)
        colour = black_body(float(random.choice([3_200, 4_200, 5_500, 7_500, 11_000, 20_000])))
        reach = 3 + 5 * np.sqrt(peak)
        rows = slice(*np.searchsorted(y[:, 0], [at[1] - reach, at[1] + reach]))
        columns = slice(*np.searchsorted(x[0], [at[0] - reach, at[0] + reach]))
        dx, dy = x[rows, columns] - at[0], y[rows, columns] - at[1]
        image = (1 + (dx**2 + dy**2) / width**2) ** -sharpness
        if peak > 2:
            spikes = np.exp(-np.abs(dx) / 3 - (dy / 0.35) ** 2)
            spikes = spikes + np.exp(-np.abs(dy) / 3 - (dx / 0.35) ** 2)
            image = image + 0.08 * spikes
        light[rows, columns] += peak * image[..., None] * (0.25 + 0.75 * colour)


def _clouds(random: Generator, exponent: float) -> Field:
    """Noise (H, W) in [0, 1] whose amplitude falls with frequency to the power of `exponent`."""
    width = SIZE * SUPERSAMPLING
    frequency = np.hypot(np.fft.fftfreq(width)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.standard_normal((width, width)))
    noise = np.fft.irfft2(spectrum * frequency**-exponent, s=(width, width))
    low, high = np.quantile(noise, [0.005, 0.995])
    clouds: Field = np.clip((noise - low) / (high - low), 0, 1)
    return clouds


def _grid() -> tuple[Field, Field]:
    """Rows and columns of the supersampled image, 0 in its middle."""
    middle = (np.arange(SIZE * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - SIZE / 2
    y, x = np.meshgrid(middle, middle, indexing="ij")
    return y, x


def _turned(angle: float, x: float = 0.0, y: float = 0.0) -> tuple[Field, Field]:
    """Coordinates along the axes of an object at (x, y) that is turned by `angle` in radians."""
    rows, columns = _grid()
    cosine, sine = np.cos(angle), np.sin(angle)
    right, down = columns - x, rows - y
    return right * cosine + down * sine, down * cosine - right * sine


def _inclined(
    random: Generator, flattest: float, x: float = 0.0, y: float = 0.0
) -> tuple[Field, Field]:
    """Coordinates in the plane of a disc that is turned and seen from the side."""
    across, along = _turned(random.uniform(0, np.pi), x, y)
    return across, along / random.uniform(flattest, 1.0)


def _sphere(across: Field, along: Field, radius: float) -> tuple[Field, npt.NDArray[np.bool_]]:
    """The normals (H, W, 3) of a sphere, z towards us, and where it is."""
    x, y = across / radius, along / radius
    inside = x**2 + y**2 < 1
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    return np.stack([x, y, z], axis=-1), inside


def _sun(random: Generator) -> Field:
    """The direction to the sun (3,), mostly from our side."""
    around, phase = random.uniform(0, 2 * np.pi), random.uniform(0.1, 1.7)
    return np.array([np.cos(around) * np.sin(phase), np.sin(around) * np.sin(phase), np.cos(phase)])


def _blended(colours: Field, position: Field) -> Field:
    """Colours (n, 3) blended at positions (H, W), 0 for the first and 1 for the last."""
    place = np.clip(position, 0, 1) * (len(colours) - 1)
    return np.stack(
        [np.interp(place, np.arange(len(colours)), channel) for channel in colours.T], axis=-1
    )


def _develop(light: Field, random: Generator) -> Pixels:
    """Linear light to a picture (64, 64, 3), with photon noise, read noise and an asinh stretch.

    The stretch keeps the colours of bright objects (Lupton et al. 2004).
    """
    pixels = light.reshape(SIZE, SUPERSAMPLING, SIZE, SUPERSAMPLING, 3).mean(axis=(1, 3))
    electrons = 4_000.0
    pixels = random.poisson(np.clip(pixels, 0, None) * electrons) / electrons
    pixels = np.clip(pixels + random.normal(0, 0.0015, pixels.shape), 0, None)
    softening = 8.0
    intensity = pixels.mean(axis=-1, keepdims=True)
    stretched = np.arcsinh(softening * intensity) / np.arcsinh(softening)
    picture = pixels * stretched / np.maximum(intensity, 1e-6)
    picture /= np.maximum(picture.max(axis=-1, keepdims=True), 1.0)
    return np.asarray((np.clip(picture, 0, 1) * 255).round(), np.uint8)


_SCENES: dict[str, Callable[[Generator], Field]] = {
    "star field": _star_field,
    "spiral galaxy": _spiral_galaxy,
    "elliptical galaxy": _elliptical_galaxy,
    "planet": _planet,
    "moon": _moon,
}

SKY_CLASSES = tuple(_SCENES)
