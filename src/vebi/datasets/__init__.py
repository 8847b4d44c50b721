"""Images with ground truth: masks of any images, and flowers that vebi renders itself."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submodules=["flowers"], submod_attrs={"masks": ["crop_mask", "find_foregrounds", "find_masks"]}
)
