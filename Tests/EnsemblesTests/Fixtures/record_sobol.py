"""Records points of SciPy's Sobol sequence: lines of dimension, index and coordinate times 2^30.

python Tests/EnsemblesTests/Fixtures/record_sobol.py > Tests/EnsemblesTests/Fixtures/sobol.txt
"""

from __future__ import annotations

from scipy.stats import qmc

DIMENSIONS = [0, 1, 2, 3, 4, 7, 12, 36, 99, 159, 1000, 1110, 1111, 5000, 10_000, 20_000, 21_200]
POINTS = [0, 1, 2, 3, 5, 8, 100, 511, 1023]


def main() -> None:
    points = qmc.Sobol(21_201, scramble=False).random_base2(10)
    for dimension in DIMENSIONS:
        for index in POINTS:
            coordinate = points[index, dimension] * 2**30
            assert coordinate == int(coordinate)
            print(dimension, index, int(coordinate))


main()
