"""The flow convention, in one place: sigma 1 is noise, sigma 0 is data, the velocity points from data to noise.

`z_sigma = (1 - sigma) * z0 + sigma * noise` and `v = noise - z0` (rectified flow: Liu et al. 2022, arXiv 2209.03003;
Wan: arXiv 2503.20314). Every function is plain arithmetic, so NumPy arrays and torch tensors both work, in any shape.
"""

from typing import Any, Protocol, TypeVar, runtime_checkable


@runtime_checkable
class Arithmetic(Protocol):
    """What the equations ask of a value: floats, NumPy arrays and torch tensors have it."""

    def __add__(self, other: Any, /) -> Any: ...  # noqa: ANN401 - each library widens it in its own way

    def __sub__(self, other: Any, /) -> Any: ...  # noqa: ANN401

    def __mul__(self, other: Any, /) -> Any: ...  # noqa: ANN401

    def __rmul__(self, other: Any, /) -> Any: ...  # noqa: ANN401


Array = TypeVar("Array", bound=Arithmetic)


def interpolate(data: Array, noise: Array, sigma: float) -> Array:
    """The point at noise level `sigma` on the straight path from data (0) to noise (1).

    >>> interpolate(2.0, 10.0, 0.25)
    4.0
    """
    return (1 - sigma) * data + sigma * noise


def velocity(data: Array, noise: Array) -> Array:
    """The velocity of that path, constant along it: d interpolate / d sigma.

    >>> velocity(2.0, 10.0)
    8.0
    """
    return noise - data


def predict_data(x: Array, v: Array, sigma: float) -> Array:
    """The data end of the straight path through `x` with velocity `v`.

    >>> predict_data(4.0, 8.0, 0.25)
    2.0
    """
    return x - sigma * v


def euler_step(x: Array, v: Array, sigma: float, sigma_next: float) -> Array:
    """One Euler step from `sigma` to `sigma_next`; `dt = sigma - sigma_next` is positive on the way to data.

    >>> euler_step(4.0, 8.0, 0.25, 0.0)
    2.0
    """
    return x + v * (sigma_next - sigma)


def guide(v_positive: Array, v_negative: Array, scale: float) -> Array:
    """Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598): 1 is the prompt alone.

    >>> guide(3.0, 1.0, 5.0)
    11.0
    """
    return v_negative + scale * (v_positive - v_negative)
