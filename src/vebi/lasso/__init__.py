"""The mu-Lasso: the few features that tell a class apart. Pure functions of arrays, without knowledge of images.

Reference:
    Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, eq. 1.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "bound": ["Bound"],
        "certificate": ["TOLERANCE", "Certificate", "certificate_from_gradient", "certify", "check_mu"],
        "moments": ["Moments", "accumulate", "merge"],
        "path": ["Knot", "iter_knots", "lasso_path"],
        "scaling": ["Problem", "Scaling", "make_problem"],
        "solution": ["Solution", "solve", "solve_all"],
    },
)
