"""Numbers and switches of a request are read by HTML's grammar, whatever Python would read."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from jobs.errors import InvalidRequest
from scheduling.request import EstimateRequest, UpscaleRequest, parse_estimate, parse_request

NOT_NUMBERS = (
    *("2_5", "0_2.5", "1_00", " 2", "2 ", "2\n", "\t2", "+2", "2.", "1,5", "1.5.", "e3", "1e", "."),
    *(
        "inf",
        "-inf",
        "Infinity",
        "nan",
        "NaN",
        "0x10",
        "1f",
        "\uff12",
        "\u0663",
        "2\u00a0",
        "",
        "--2",
    ),
)
NOT_SWITCHES = ("1", "0", "yes", "on", "t", "True", "TRUE", " true", "")


def kinds_of(model: type[BaseModel]) -> dict[str, set[str]]:
    """Return the JSON types of each parameter."""
    properties: dict[str, Any] = model.model_json_schema()["properties"]
    return {
        name: {choice.get("type", "") for choice in value.get("anyOf", [value])}
        for name, value in properties.items()
    }


def test_the_grammar_of_numbers() -> None:
    for text, value in (("2", 2), ("2.37", 2.37), (".5", 0.5), ("1e3", 1000), ("15E-1", 1.5)):
        assert (
            parse_request([("latency_budget_ms", text), ("scale", "2")]).latency_budget_ms == value
        )
    assert parse_request([("width", "007")]).width == 7


@pytest.mark.parametrize("text", [*NOT_NUMBERS, "-1", "1e999"])
def test_no_other_text_is_a_scale(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_request([("scale", text)])
    assert refused.value.detail.startswith("scale")


@pytest.mark.parametrize("text", [*NOT_NUMBERS, "40.0", "4e1", "-40"])
def test_no_other_text_is_a_width(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_request([("width", text)])
    assert refused.value.detail.startswith("width")


@pytest.mark.parametrize(
    ("model", "parse"), [(UpscaleRequest, parse_request), (EstimateRequest, parse_estimate)]
)
def test_every_parameter_keeps_to_the_grammar(model: Any, parse: Any) -> None:
    """Also one that is added later: pydantic alone would read these."""
    seen = set()
    for name, kinds in kinds_of(model).items():
        wrong = ["1_0", " 1", "+1"] if kinds & {"number", "integer"} else []
        wrong += NOT_SWITCHES if "boolean" in kinds else ()
        for text in wrong:
            with pytest.raises(InvalidRequest, match=rf"(^|; ){name}\b"):
                parse([(name, text)])
            seen.add(name)
    assert {"scale", "width", "strength", "min_db"} <= seen
