"""How the features of an explanation become heatmaps, and these one map."""

from dataclasses import dataclass

from vebi.backprop.heatmaps import check_reduction
from vebi.backprop.readings import check_reading
from vebi.backprop.rules import check_rule
from vebi.errors import as_bool


@dataclass(frozen=True)
class Recipe:
    """How a feature is taken back to the pixels, and how its heatmap is made of that.

    ``Recipe()`` reads what a feature is made of at every layer, and shows it where the network sees the class rather
    than the others; ``Recipe.paper()`` is that of the paper.

    Attributes:
        rule: Backprop rule: what an activation function y(x) passes on of the gradient g of its output.

            - ``"guided"``: y'(x) g where x > 0 and g > 0, else 0.
            - ``"deconvnet"``: g where g > 0, else 0.
            - ``"gradient"``: y'(x) g, the ordinary derivative.
        stride_fix: Against the checkerboard artefacts of strided operations (convolutions, average pooling, slices).

            - ``"centred"``: each gradient is repeated over the s x s positions of its stride, the pass continues with
              stride 1, and the result is cropped so that nothing is shifted.
            - ``"nearest"``: the gradient is enlarged by nearest neighbour to the size that stride 1 would have given,
              and the pass continues with stride 1, as in the authors' code.
            - None: the ordinary backward pass, with the artefacts.
        pool_fix: Whether max pooling is passed as average pooling is, over its whole window, which leaves no dots.
        reading: What of the backward pass is the heatmap.

            - ``"gradient"``: sqrt(sum over input channels of max(g, 0)^2), where g is the input gradient.
            - ``"contribution"``: the positive part of the sum over input channels of input times gradient.
            - ``"layers"``: the same sum at every recorded layer and at the input, the strongest 3 % of the positions of
              each scaled to 1, its square root enlarged to the input; the geometric mean of the mean of these and of
              that of the input, averaged over 3 x 3 pixels.
        contrast: Whether heatmaps are kept to where the network sees the class rather than the others, by class
            activation maps of the contrast between their scores.
        combination: How heatmaps become one map, see ``Explanation.combined_map``.

    Raises:
        UsageError: An option has a value that does not exist.

    Example:
        >>> explanation = vebi.explain(interpretation, "images/red/00.png", recipe=vebi.Recipe.paper())
        >>> vebi.Recipe(contrast=False).reading
        'layers'
    """

    rule: str = "guided"
    stride_fix: str | None = "centred"
    pool_fix: bool = True
    reading: str = "layers"
    contrast: bool = True
    combination: str = "mass"

    def __post_init__(self) -> None:
        check_rule(self.rule, self.stride_fix)
        check_reading(self.reading)
        check_reduction(self.combination)
        for name in ("pool_fix", "contrast"):
            object.__setattr__(self, name, as_bool(name, getattr(self, name)))

    @classmethod
    def paper(cls, *, rule: str = "guided", stride_fix: str | None = "centred") -> "Recipe":
        """The recipe of the paper.

        Args:
            rule: Another backprop rule.
            stride_fix: Another stride fix, or None.

        Returns:
            The norm of the positive input gradient of each feature, and the highest of these maps at every pixel.

        Reference:
            Oramas, Wang and Tuytelaars, "Visual Explanation by Interpretation", ICLR 2019, section 3.2, and their code.
        """
        return cls(rule, stride_fix, pool_fix=False, reading="gradient", contrast=False, combination="max")
