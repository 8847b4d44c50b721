"""Holds a blind look at 48 flowers against their classes and masks: ``python benchmarks/judgement/score.py``."""

import json
from pathlib import Path

here = Path(__file__).parent
answers = {answer["image"]: answer for answer in json.loads((here / "answers.json").read_text())}
key = json.loads((here / "key.json").read_text())
classes = [answers[k["image"]]["class"] == k["answer"] and answers[k["image"]]["part"] == k["part"] for k in key]
points = [k["mask"][answers[k["image"]]["y"] // 8][answers[k["image"]]["x"] // 8] == "1" for k in key]
for name in dict.fromkeys(k["set"] for k in key):
    rows = [i for i, k in enumerate(key) if k["set"] == name]
    at_once = sum(answers[key[i]["image"]]["found"] == "at once" for i in rows)
    print(
        f"{name}: {len(rows)} images, class {sum(classes[i] for i in rows)}, "
        f"point on the carrying part {sum(points[i] for i in rows)}, at once {at_once}"
    )
