"""Flowers with known ground truth: data sets by the an8Flower protocol, rendered by vebi.

Reference:
    Oramas, Wang and Tuytelaars, Visual explanation by interpretation: improving visual feedback capabilities of deep
    neural networks, ICLR 2019: the protocol.
"""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__, submod_attrs={"dataset": ["generate", "load_dataset"], "variants": ["carrier_mask"]}
)
