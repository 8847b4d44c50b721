"""Why a prediction: the features that contributed, each with its heatmap; and how a model does on images."""
