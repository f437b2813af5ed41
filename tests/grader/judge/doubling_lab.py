"""The smallest lab there is, for tests of the judge: out = factor · x."""

from labs.declaration import Case, Lab

CASE = Case(name="ragged", sizes={"rows": 3, "cols": (5, 500)})


def lab(**changes):
    declared = {
        "title": "double",
        "objectives": (1,),
        "points": 10,
        "entry": "double",
        "arguments": ("x", "factor", "out"),
        "inputs": lambda draw: {"x": draw.normal(draw.sizes["rows"], draw.sizes["cols"]), "factor": 2.0},
        "out_shape": lambda inputs: tuple(inputs["x"].shape),
        "expected": lambda inputs: inputs["x"].double() * inputs["factor"],
        "ideal_bytes": lambda inputs: 2 * inputs["x"].nbytes,
        "cases": (),
    }
    return Lab(**{**declared, **changes})
