"""Methods x images with masks x metrics -> tables: the experiment of the paper, or a model of one's own."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "custom": ["benchmark_model"],
        "built_in_methods": ["all_methods"],
        "methods": ["Method", "user_method"],
        "paper_table1": ["run_table1"],
        "plan": ["NetworksPlan", "Plan"],
        "statistics": ["Comparison", "compare", "fold_means"],
        "table2": ["run_table2"],
        "without_masks": ["benchmark_images"],
        "write_results": ["BenchmarkResult"],
    },
)
