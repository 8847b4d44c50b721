"""Methods to compare with, one a file; every one is an ``Explainer`` (see ``explainer``)."""
