"""Compiled loops compute what Python computes, and work where nothing can be kept."""

import numpy as np

from mer_data import compiled as module


def sum_of_products(a, b):
    total = 0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


def test_a_compiled_function_gives_what_python_gives():
    a, b = np.arange(50), np.arange(50)[::-1].copy()
    assert module.compiled(sum_of_products)(a, b) == sum_of_products(a, b) == 19600


def test_where_no_folder_takes_the_machine_code_it_is_compiled_all_the_same(monkeypatch):
    asked = []

    def njit(function, cache=False):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available for file")
        return function

    monkeypatch.setattr(module, "njit", njit)
    assert module.compiled(sum_of_products)(np.array([2]), np.array([3])) == 6
    assert asked == [True, False]
