"""Sylvester flow on a diagonal Gaussian, orthogonal or Householder (van den Berg et al. 2018)."""

from typing import Annotated, Literal

import pyro.distributions as dist
import torch
from pydantic import Field as Option
from pyro.distributions.transforms.householder import ConditionedHouseholder
from torch import Tensor, nn

from pyrovae.flows.flow import Flow
from pyrovae.flows.root import tanh_root
from pyrovae.flows.scale import LEAST
from pyrovae.guides.diagonal import Diagonal
from pyrovae.guides.householder import Vectors
from pyrovae.nets.mlp import linear

Kind = Literal["orthogonal", "householder"]


class Sylvester(nn.Module):
    """q(z | h): z_0 ~ N(mu(h), diag sigma(h)^2), then T steps z_t = z_(t-1) + Q R tanh(S Q'z_(t-1) + b), all from h.

    Q has M orthonormal columns, R and S are upper triangular; M = 1 is a planar flow. The columns of Q are those of a
    matrix of h that is orthogonalized (`orthogonal`; by Gram-Schmidt, which ends after M columns, where the paper
    iterates to a tolerance), or the first M of a product of reflections (`householder`; the paper takes all, M = D).
    Sampling costs one pass; a foreign value is inverted in M scalar equations, one after the other.

    Rianne van den Berg, Leonard Hasenclever, Jakub M. Tomczak, Max Welling: Sylvester Normalizing Flows for Variational
    Inference. UAI 2018.
    """

    def __init__(
        self,
        context: int,
        features: int,
        steps: Annotated[int, Option(ge=1, description="T, Sylvester steps")] = 4,
        width: Annotated[int, Option(ge=1, description="M, columns of Q, at most the dimensions of z")] = 8,
        kind: Annotated[Kind, Option(description="how Q is made: orthogonal or householder")] = "orthogonal",
        reflections: Annotated[int, Option(ge=1, description="reflections that make Q, for kind=householder")] = 4,
    ) -> None:
        super().__init__()
        width = min(width, features)
        self.base = Diagonal(context, features)
        self.columns: Orthogonal | Reflected
        if kind == "orthogonal":
            self.columns = Orthogonal(context, features, steps, width)
        else:
            self.columns = Reflected(context, features, steps, width, reflections)
        self.triangles = Triangles(context, steps, width)

    def forward(self, h: Tensor) -> dist.TorchDistribution:
        columns, (R, S, b) = self.columns(h), self.triangles(h)
        steps = zip(columns.unbind(-3), R.unbind(-3), S.unbind(-3), b.unbind(-2), strict=True)
        q: dist.TorchDistribution = dist.TransformedDistribution(self.base(h), [SylvesterFlow(*step) for step in steps])
        return q


class Orthogonal(nn.Module):
    """h (*L, context) -> Q' (*L, T, M, features) with orthonormal rows, around the first M unit vectors."""

    def __init__(self, context: int, features: int, steps: int, width: int) -> None:
        super().__init__()
        self.shape = (steps, width, features)
        self.raw = linear(context, steps * width * features)

    def forward(self, h: Tensor) -> Tensor:
        raw = 0.1 * self.raw(h).unflatten(-1, self.shape) + torch.eye(*self.shape[1:], dtype=h.dtype, device=h.device)
        first, *others = raw.unbind(-2)
        rows = [nn.functional.normalize(first, dim=-1)]
        for row in others:
            before = torch.stack(rows, -2)
            for _ in range(
                2
            ):  # twice is enough (Giraud, Langou, Rozloznik 2005); sums are twice as fast as products here
                row = row - ((before * row.unsqueeze(-2)).sum(-1, keepdim=True) * before).sum(-2)
            rows.append(nn.functional.normalize(row, dim=-1))
        return torch.stack(rows, -2)


class Reflected(nn.Module):
    """h (*L, context) -> Q' (*L, T, M, features): the first M unit vectors, reflected several times."""

    def __init__(self, context: int, features: int, steps: int, width: int, reflections: int) -> None:
        super().__init__()
        self.shape = (width, features)
        self.steps = steps
        self.vectors = Vectors(context, features, steps * reflections)

    def forward(self, h: Tensor) -> Tensor:
        vectors = self.vectors(h).unflatten(-2, (self.steps, -1))
        reflect = ConditionedHouseholder(vectors.unsqueeze(-3))
        matrix: Tensor = reflect(torch.eye(*self.shape, dtype=h.dtype, device=h.device))
        return matrix


class Triangles(nn.Module):
    """h -> R, S (*L, T, M, M), upper triangular with |R_ii S_ii| < 1, and b (*L, T, M)."""

    def __init__(self, context: int, steps: int, width: int) -> None:
        super().__init__()
        self.steps, self.width = steps, width
        # One matrix for what stands above the two diagonals, as in the authors' program.
        self.above = linear(context, steps * width * width)
        self.diagonals = linear(context, steps * 3 * width)

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        above = 0.1 * self.above(h).unflatten(-1, (self.steps, self.width, -1))
        r, s, b = self.diagonals(h).unflatten(-1, (self.steps, 3, -1)).unbind(-2)
        R = above.triu(1) + ((1 - LEAST) * torch.tanh(0.1 * r)).diag_embed()
        S = above.transpose(-1, -2).triu(1) + torch.tanh(1 + s).diag_embed()
        return R, S, b


class SylvesterFlow(Flow):
    """y = x + Q R tanh(S Q'x + b), with the determinant prod (1 + R_ii S_ii (1 - tanh^2))."""

    sign = +1

    def __init__(self, columns: Tensor, R: Tensor, S: Tensor, b: Tensor) -> None:
        super().__init__()
        self.columns, self.R, self.S, self.b = columns, R, S, b
        self.rs = R.diagonal(dim1=-2, dim2=-1) * S.diagonal(dim1=-2, dim2=-1)

    def push(self, x: Tensor) -> tuple[Tensor, Tensor]:
        t = torch.tanh(_times(self.S, _times(self.columns, x)) + self.b)
        return x + self._back(t), self._log_det_at(t)

    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        c = _times(self.columns, y)
        with torch.no_grad():
            v = self._solve(c.detach())
        # One Newton step: it changes no value, and has the gradients of the root v of v + R tanh(S v + b) = c.
        t = torch.tanh(_times(self.S, v) + self.b)
        jacobian = torch.einsum("...ij,...jk->...ik", self.R, (1 - t * t).unsqueeze(-1) * self.S)
        jacobian = jacobian + torch.eye(v.shape[-1], dtype=v.dtype, device=v.device)
        rest = (v + _times(self.R, t) - c).unsqueeze(-1)
        v = v - torch.linalg.solve_triangular(jacobian.detach(), rest, upper=True).squeeze(-1)
        t = torch.tanh(_times(self.S, v) + self.b)
        return y - self._back(t), self._log_det_at(t)

    def _solve(self, c: Tensor) -> Tensor:
        """v = Q'x from c = Q'y, from the last coordinate to the first: each equation has one unknown."""
        v: list[Tensor] = []  # v_i, ..., v_M
        t: list[Tensor] = []
        M = c.shape[-1]
        for i in reversed(range(M)):
            k, known = self.b[..., i], c[..., i]
            for j in range(i + 1, M):
                k = k + self.S[..., i, j] * v[j - i - 1]
                known = known - self.R[..., i, j] * t[j - i - 1]
            S_ii = self.S[..., i, i]
            v.insert(0, tanh_root(self.R[..., i, i], S_ii, k, known))
            t.insert(0, torch.tanh(S_ii * v[0] + k))
        return torch.stack(v, -1)

    def _back(self, t: Tensor) -> Tensor:
        """Q R t."""
        return _transposed(self.columns, _times(self.R, t))

    def _log_det_at(self, t: Tensor) -> Tensor:
        return (1 + self.rs * (1 - t * t)).log().sum(-1)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    """(*L, m, n) times (*L, n); by `einsum`, which stays in float32 where products are taken in bfloat16."""
    return torch.einsum("...mn,...n->...m", matrix, vector)


def _transposed(matrix: Tensor, vector: Tensor) -> Tensor:
    """(*L, m, n)' times (*L, m)."""
    return torch.einsum("...mn,...m->...n", matrix, vector)
