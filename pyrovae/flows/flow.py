"""What every invertible map of this room is to torch: a transform whose log-determinant is kept with its pair."""

from abc import abstractmethod

from torch import Tensor
from torch.distributions import Transform, constraints


class Flow(Transform):
    """An invertible map of the last dim at a given h: x -> y of the same shape (*L, features).

    To write a flow, write `push` and `pull`; both give the log-determinant, which comes with the value. Left dims of
    what h gave are broadcast from the right, so particles may come in from the left.

    torch keeps the last pair (x, y), so an own sample is scored without an inverse. The log-determinant is kept with
    exactly that pair: any other pair is computed anew.
    """

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self) -> None:
        super().__init__(cache_size=1)
        self._log_det: Tensor | None = None

    @abstractmethod
    def push(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x -> y and log |det dy/dx|, (*L)."""

    @abstractmethod
    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """y -> x and log |det dy/dx| at x, (*L): the inverse of `push`, with its log-determinant."""

    def _call(self, x: Tensor) -> Tensor:
        y, self._log_det = self.push(x)
        return y

    def _inverse(self, y: Tensor) -> Tensor:
        x, self._log_det = self.pull(y)
        return x

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        x_old, y_old = self._cached_x_y
        if self._log_det is not None and x is x_old and y is y_old:
            return self._log_det
        return self.push(x)[1]
