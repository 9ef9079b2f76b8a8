"""What changes from step to step: the learning rate and the weight of the KL term."""

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "linear", "iwae"]


def learning_rate(step: int, steps: int, lr: float, schedule: Schedule = "constant") -> float:
    """The learning rate of step `step` of `steps`, from `lr` down.

    `cosine` and `linear` end at 0; `iwae` takes 10^(-i/7) for i = 0..7 over shares 3^i of the steps (Burda et al.
    2016).
    """
    done = min(step / max(steps, 1), 1.0)
    match schedule:
        case "constant":
            return lr
        case "cosine":
            return lr * 0.5 * (1 + math.cos(math.pi * done))
        case "linear":
            return lr * (1 - done)
        case "iwae":
            ends = [(3 ** (i + 1) - 1) / (3**8 - 1) for i in range(8)]
            return lr * 10 ** (-next((i for i, end in enumerate(ends) if done < end), 7) / 7)


def kl_weight(
    step: int, warmup_steps: int, beta: float = 1.0, cycle_steps: int | None = None, start: float = 0.0
) -> float:
    """The weight of the KL term: linear from `start * beta` to `beta` over `warmup_steps`, then `beta`.

    With `cycle_steps`, it starts anew after so many steps.

    Hao Fu, Chunyuan Li, Xiaodong Liu, Jianfeng Gao, Asli Celikyilmaz, Lawrence Carin: Cyclical Annealing Schedule: A
    Simple Approach to Mitigating KL Vanishing. NAACL 2019.
    """
    at = step % cycle_steps if cycle_steps else step
    if at >= warmup_steps:
        return beta
    return beta * (start + (1 - start) * at / warmup_steps)
