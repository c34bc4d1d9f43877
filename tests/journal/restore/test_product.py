"""Combinations come in the order of their costs, each once, and all of them."""

from itertools import product
from random import Random

import pytest

from strandline.journal.restore.product import Product


class Costs:
    """Alternatives with given costs; `asked` is the highest index that was asked for."""

    def __init__(self, *costs: int) -> None:
        self.costs = sorted(costs)
        self.asked = 0

    def cost(self, index: int) -> float | None:
        self.asked = max(self.asked, index)
        return self.costs[index] if index < len(self.costs) else None


@pytest.mark.parametrize("seed", range(100))
def test_every_combination_comes_once_and_in_order(seed: int) -> None:
    random = Random(seed)
    factors = [Costs(*random.choices(range(9), k=random.randint(1, 4))) for _ in range(random.randint(0, 5))]
    found = Product(factors)
    costs, choices = [], []
    while (cost := found.cost(len(costs))) is not None:
        choices.append(found.choice(len(costs)))
        costs.append(cost)

    every = list(product(*[range(len(factor.costs)) for factor in factors]))
    assert sorted(choices) == sorted(every)
    assert costs == sorted(sum(f.costs[i] for f, i in zip(factors, one, strict=True)) for one in every)


def test_only_what_is_asked_for_is_found() -> None:
    factors = [Costs(*range(1_000)) for _ in range(50)]

    assert Product(factors).cost(10) == 1
    assert max(factor.asked for factor in factors) <= 2


def test_factor_without_alternatives_leaves_no_combination() -> None:
    assert Product([Costs(1), Costs()]).cost(0) is None
