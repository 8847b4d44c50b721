"""The mu-Lasso: the few features that tell a class apart. Pure functions of arrays, without knowledge of images."""

from vebi.lasso.certificate import TOLERANCE, Certificate, certify, check_mu, judge
from vebi.lasso.path import Knot, follow
from vebi.lasso.solution import Solution, solve, solve_all

__all__ = [
    "TOLERANCE",
    "Certificate",
    "Knot",
    "Solution",
    "certify",
    "check_mu",
    "follow",
    "judge",
    "solve",
    "solve_all",
]
