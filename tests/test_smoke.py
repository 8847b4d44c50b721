import vebi


def test_fit_and_explain(toy, squares):
    found = vebi.interpret(toy, squares, mu=1)
    e = vebi.explain(found, squares / "red" / "00.png")
    assert e.prediction == "red" and e.evidence
