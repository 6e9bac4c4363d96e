"""Whether an attempt is the right answer, whatever way either is written."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from safetax.evaluation.graders.algebra import Algebra, Equality
from safetax.evaluation.graders.equality import equal
from safetax.evaluation.graders.sound import grade


@pytest.mark.parametrize(
    ("gold", "attempt"),
    [
        ("1319", "1,319"),
        ("1319", "1{,}319"),
        ("1319", "1\\,319"),
        ("1,319", "$1319.00"),
        ("11,\\! 111,\\! 111,\\! 100", "11111111100"),
        ("23", "023"),
        ("-3", "−3"),
        ("73", "\\textbf{(073)}"),
        ("10\\%", "10"),
        ("10", "10\\%"),
        ("0.1", "10%"),
        ("5.4 \\text{ cents}", "5.4"),
        ("5.4", "5.4 cents"),
        ("864 \\mbox{ inches}^2", "864 square inches"),
        ("864 \\mbox{ inches}^2", "864\\text{ in}^2"),
        ("\\$36", "36"),
        ("90^\\circ", "90"),
        ("90", "90^{\\circ}"),
        ("\\frac{1}{2}", "0.5"),
        ("0.5", "\\dfrac12"),
        ("137 \\frac{1}{2}", "137.5"),
        (".0000672", "6.72 \\times 10^{-5}"),
        ("3\\sqrt{13}", "\\sqrt{117}"),
        ("3\\sqrt{13}", "3*sqrt(13)"),
        ("\\frac{\\sqrt{3}}{3}", "\\frac{1}{\\sqrt{3}}"),
        ("2k+2", "2(k + 1)"),
        ("6 - 5i", "-5i+6"),
        ("x=5", "5"),
        ("5", "x = 5"),
        ("y = 2x + 3", "y=3+2x"),
        ("5x - 7y + 11z + 4 = 0", "-5x+7y-11z-4=0"),
        ("x \\in [-2,7]", "[-2, 7]"),
        ("[-2,7]", "-2 \\le x \\le 7"),
        ("(-\\infty, 0]", "x \\leq 0"),
        ("(0,9) \\cup (9,36)", "\\left(9,36\\right)\\cup\\left(0,9\\right)"),
        ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3, π/2)"),
        ("(8,-2)", "8, -2"),
        ("1,-2", "x = 1 or x = -2"),
        ("3, 5, 7", "\\{7,5,3\\}"),
        ("1 \\pm \\sqrt{19}", "1+\\sqrt{19}, 1-\\sqrt{19}"),
        ("\\{1\\pm\\sqrt{5},-2\\}", "-2, 1-\\sqrt5, 1+\\sqrt5"),
        ("\\frac{639}{40}", "15\\frac{39}{40}, \\frac{639}{40}"),
        ("\\begin{pmatrix} 1/5 \\\\ -18/5 \\end{pmatrix}", "\\begin{bmatrix} \\frac15 \\\\ -3.6 \\end{bmatrix}"),
        ("4210_{5}", "4210_5"),
        ("4343_6", "4343"),
        ("\\text{even}", "Even."),
        ("\\text{(C)}", "C"),
        ("\\text{Evelyn}", "\\textbf{Evelyn}"),
    ],
)
def test_the_same_answer_written_in_another_way(gold: str, attempt: str, algebra: Algebra) -> None:
    assert equal(gold, attempt, algebra) == "equal"


@pytest.mark.parametrize(
    ("gold", "attempt"),
    [
        ("-3", "3"),
        ("10", "5\\%"),
        ("\\frac{1}{3}", "0.333"),
        ("(8,-2)", "(-2,8)"),
        ("(8,-2)", "\\{8,-2\\}"),
        ("(1,2)", "[1,2]"),
        ("(3,4]", "[3,4]"),
        ("x \\in [-2,7]", "(-2,7)"),
        ("(-\\infty, 0]", "x < 0"),
        ("(0,9) \\cup (9,36)", "(0,36)"),
        ("3, 5, 7", "3, 5"),
        ("100200", "100, 200"),
        ("10", "10 \\text{ or } 12"),
        ("1 \\pm \\sqrt{19}", "1 + \\sqrt{19}"),
        ("4343_6", "4343_7"),
        ("7", "7_{8}"),
        ("1,2", "(1,2)"),
        ("2,2", "2"),
        ("x=5", "y=5"),
        ("2k", "2n"),
        ("p - q", "q - p"),
        ("\\text{even}", "\\text{neve}"),
        ("\\text{Evelyn}", "vEelyn"),
        ("\\text{(C)}", "B"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 2 \\\\ 1 \\end{pmatrix}"),
    ],
)
def test_another_answer(gold: str, attempt: str, algebra: Algebra) -> None:
    assert equal(gold, attempt, algebra) == "different"


NONE = Algebra(seconds=4)
"""Not started where text alone decides."""
ENDLESS = "7" * 5000
"""More digits than Python reads as a number."""


@pytest.mark.parametrize(
    "attempt",
    [
        ENDLESS,
        f"-{ENDLESS}.5",
        f"{ENDLESS}/3",
        f"\\frac{{{ENDLESS}}}{{3}}",
        f"3 \\times 10^{{{ENDLESS}}}",
        f"{ENDLESS} \\text{{ cm}}",
        "1" + ",777" * 2000,
        f"(1, {ENDLESS})",
        f"x = {ENDLESS}",
    ],
)
@pytest.mark.parametrize("gold", ["7", "\\frac{1}{2}", "(1, 2)", "13_4", "Evelyn"])
def test_an_endless_number_equals_nothing(gold: str, attempt: str, algebra: Algebra) -> None:
    assert equal(gold, attempt, algebra) == "different"
    assert grade(document("math", gold), f"\\boxed{{{attempt}}}", algebra).label == "wrong"


def document(kind: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"problem": "?", "kind": kind, "answer": answer, **more}


@pytest.mark.parametrize(
    "shape", ["½", "\\[", "\\( x \\) ", "7, ", "(", "x = ", "\\cup ", " ", "^{", "\\text{cm} ", "meter ", "-"]
)
@pytest.mark.parametrize("gold", ["7", "\\frac{1}{2}", "(1, 2)", "1, 2, 3", "Evelyn"])
def test_what_is_too_long_for_an_answer_is_not_compared(gold: str, shape: str, algebra: Algebra) -> None:
    assert equal(gold, shape * (300_000 // len(shape)), algebra) == "too long"


def test_a_long_right_answer_is_compared_whole(algebra: Algebra) -> None:
    words = "one two three " * 300
    assert equal(words, words, algebra) == "equal"


def test_all_parts_of_an_answer_share_the_time_of_one() -> None:
    asked: list[float] = []

    class Counted(Algebra):
        def compare(self, gold: str, attempt: str, seconds: float, places: int | None = None) -> tuple[Equality, float]:
            asked.append(seconds)
            return super().compare(gold, attempt, seconds, places)

    process = Counted(seconds=1)
    try:
        endless = ", ".join(f"\\binom{{10000000{n}}}{{50000000}}" for n in range(2, 8))
        assert equal("a + 1, b, c, d, e, f", endless, process) == "too long"
        assert len(asked) < 6, "six times six comparisons have the time of one"
        assert asked == sorted(asked, reverse=True)
        assert equal("a + b", "b + a", process) == "equal", "the next answer has its own time"
    finally:
        process.close()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(3,4)", "(x,y)=(3,4)"),
        ("(x,y)=(3,4)", "(3,4)"),
        ("(3,4)", "x=3, y=4"),
        ("x=3, y=4", "(3,4)"),
        ("x=3,y=4", "y=4, x=3"),
        ("(x,y)=(3,4)", "x=3 and y=4"),
        ("1,2", "x=1 or x=2"),
        ("x=1 \\text{ or } x=2", "1,2"),
        ("\\{1,2\\}", "x=1 or x=2"),
        ("1,2", "\\{2,1\\}"),
        ("\\{1,2\\}", "1 and 2"),
        ("x=1,x=2", "x=2 \\lor x=1"),
        ("(-\\infty,1)\\cup(2,\\infty)", "x<1 or x>2"),
        ("x<1 \\text{ or } x>2", "(-\\infty,1)\\cup(2,\\infty)"),
        ("(-\\infty,1)\\cup(2,\\infty)", "x>2 or x<1"),
        ("(-\\infty,1)\\cup(2,\\infty)", "(-∞,1) or (2,∞)"),
        ("(-\\infty,1)\\cup(2,\\infty)", "(−∞, 1) ∪ (2, ∞)"),
        ("[1,2]", "1\\le x\\le 2"),
        ("1\\le x\\le 2", "[1,2]"),
        ("x\\in[1,2]", "1≤x≤2"),
        ("1\\le x\\le 2", "2 \\ge x \\ge 1"),
        ("(1,2]", "1 < x \\leq 2"),
        ("1 < x \\leq 2", "(1,2]"),
        ("[1,2]", "x \\ge 1 and x \\le 2"),
        ("[1,2]", "\\{x \\mid 1 \\le x \\le 2\\}"),
        ("(1,\\infty)", "x>1"),
        ("x>1", "1<x"),
        ("x>1", "(1,\\infty)"),
        ("(-\\infty,3)\\cup(3,\\infty)", "x \\neq 3"),
        ("x\\ne 3", "\\mathbb{R} \\setminus \\{3\\}"),
        ("(-\\infty,\\infty)", "\\mathbb{R}"),
        ("\\mathbb{R}", "all real numbers"),
        ("(2,4)", "2<x<4"),
        ("[0,2\\pi)", "0 \\le \\theta < 2\\pi"),
        ("(-\\sqrt{3}, \\sqrt{3})", "-\\sqrt3<x<\\sqrt3"),
        ("(0,1]\\cup(1,2]", "(0,2]"),
        ("[1;2]", "[1,2]"),
        ("e^2", "\\mathrm{e}^2"),
        ("\\mathrm{e}^{x}", "e^x"),
        ("1+i", "1+\\mathrm{i}"),
        ("2i", "2\\mathrm{i}"),
        ("e", "\\exp(1)"),
        ("\\frac{1}{2}", "½"),
        ("x^2", "x²"),
        ("1000", "10³"),
        ("10^{-3}", "10⁻³"),
        ("2\\frac{1}{2}", "2½"),
        ("\\sqrt{2}", "√2"),
        ("2\\sqrt{3}", "2√3"),
        ("\\sqrt{x+1}", "√(x+1)"),
        ("\\pi", "π"),
        ("2\\pi", "2π"),
        ("6", "2×3"),
        ("-5", "−5"),
        ("x_1", "x₁"),
        ("\\sqrt[3]{2}", "∛2"),
        ("\\alpha", "α"),
        ("\\pi/2", "π/2"),
        ("5", "5 cm"),
        ("5 \\text{ cm}", "5cm"),
        ("5", "5\\text{ cm}"),
        ("5", "5 cm^2"),
        ("5 \\text{ cm}^2", "5 cm²"),
        ("5", "5 square centimeters"),
        ("90", "90°"),
        ("90", "90 degrees"),
        ("\\frac{\\sqrt{3}}{2}", "\\sin 60^\\circ"),
        ("\\frac{1}{2}", "\\cos 60°"),
        ("1", "\\tan(45^{\\circ})"),
        ("2 \\sin 30^\\circ", "1"),
        ("12\\pi", "12\\pi \\text{ cm}"),
        ("12\\pi", "12π square units"),
        ("5", "5 km/h"),
        ("70", "70 apples"),
        ("70", "\\$70"),
        ("70", "70 dollars"),
        ("70", "€70"),
        ("\\frac{1}{2} \\text{ mile}", "0.5 miles"),
        ("5", "5 units"),
        ("5", "5 m"),
        ("5\\text{ m}", "5 meters"),
        ("1.5", "1.5 hours"),
        ("\\emptyset", "\\varnothing"),
        ("\\varnothing", "\\{\\}"),
        ("∅", "\\emptyset"),
        ("\\{\\}", "∅"),
        ("\\emptyset", "no solution"),
        ("\\emptyset", "\\{ \\}"),
        ("\\frac12", "\\dfrac{1}{2}"),
        ("\\tfrac{1}{2}", "\\frac12"),
        ("\\frac12", "1/2"),
        ("\\frac{1}{2}", "0.5"),
        ("0.50", "0.5"),
        ("1 \\pm \\sqrt2", "1-\\sqrt2, 1+\\sqrt2"),
        ("\\pm 2", "2,-2"),
        ("2,-2", "x=\\pm 2"),
        ("\\{-2,2\\}", "±2"),
        ("\\frac{1}{3}", "0.\\overline{3}"),
        ("\\frac13", "0.333..."),
        ("\\frac13", "0.(3)"),
        ("\\frac13", "0.\\bar{3}"),
        ("\\frac{1}{6}", "0.1\\overline{6}"),
        ("\\frac17", "0.142857142857..."),
        ("\\frac13", "0.\\dot{3}"),
        ("0.\\overline{3}", "1/3"),
        ("1", "0.999..."),
        ("\\frac13", "0.3333\\ldots"),
        ("\\frac13", "33.\\overline{3}\\%"),
        ("\\frac{7}{3}", "2.\\overline{3}"),
        ("70", "70。"),
        ("70", "７０"),
        ("70", "x = 35 \\cdot 2 = 70"),
        ("70", "35*2 = 70"),
        ("70", "35*2"),
        ("70", "AB = 70"),
        ("70", "\\angle ABC = 70^\\circ"),
        ("\\frac{1}{2}", "P(A) = 1/2"),
        ("70", "n=70"),
        ("70", "70 = x"),
        ("70", "\\text{The answer is } 70"),
        ("70", "f(3)=70"),
        ("2^{-98}", "\\frac{1}{2^{98}}"),
        ("\\sqrt{8}", "2\\sqrt2"),
        ("\\frac{\\pi}{4}", "\\arctan 1"),
        ("\\ln 8", "3 \\ln 2"),
        ("10000", "10^4"),
        ("10,000", "10^{4}"),
        ("3.0", "3"),
        ("-\\frac{1}{2}", "\\frac{-1}{2}"),
        ("-\\frac12", "-.5"),
        ("1e5", "100000"),
        ("100000", "1\\times10^5"),
        ("\\frac{\\pi}{2}", "\\frac\\pi2"),
        ("3 1/2", "3.5"),
        ("52_8", "52_{8}"),
        ("52_8", "52 base 8"),
        ("y=2x+3", "2x+3"),
        ("y = 2x+3", "y - 2x = 3"),
        ("x^2+y^2=1", "y^2+x^2-1=0"),
        ("y=\\frac{2}{x}", "xy=2"),
        ("2x<4", "x<2"),
        ("\\text{east}", "East"),
        ("\\text{ellipse}", "an ellipse"),
        ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{bmatrix}1\\\\2\\end{bmatrix}"),
        ("\\langle 1,2\\rangle", "(1,2)"),
        ("3R^2", "3 R^2"),
        ("(a+5)(b+2)", "ab+2a+5b+10"),
        ("1:2", "1:2"),
        ("\\frac{n(n+1)}{2}", "n(n+1)/2"),
        ("\\log_2 3", "\\frac{\\ln 3}{\\ln 2}"),
        ("5", "5."),
        ("12", "\\textbf{12}"),
        ("\\binom{5}{2}", "10"),
        ("5!", "120"),
        ("x+1", "1+x"),
        ("|x|", "\\left|x\\right|"),
        ("2^{1/3}", "\\sqrt[3]{2}"),
    ],
)
def test_another_form_of_the_same_answer(one: str, other: str, algebra: Algebra) -> None:
    assert equal(one, other, algebra) == "equal"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2^{-98}", "2^{-99}"),
        ("\\pi", "3.141593"),
        ("\\pi", "22/7"),
        ("\\pi", "3.14159265358979"),
        ("\\sqrt2", "1.41421356"),
        ("1/3", "0.333"),
        ("1/3", "0.33333333333"),
        ("10^{-20}", "10^{-21}"),
        ("10^{-20}", "0"),
        ("\\frac{1}{10^{30}}", "0"),
        ("10^{30}", "10^{30}+1"),
        ("e", "2.718281828"),
        ("0.1", "0.1000001"),
        ("\\frac{1}{3}", "\\frac{33333}{99998}"),
        ("\\sqrt{2}", "\\frac{99}{70}"),
        ("[1,2]", "1<x<2"),
        ("(1,2)", "1 \\le x \\le 2"),
        ("(3,4)", "(x,y)=(4,3)"),
        ("(3,4)", "x=4,y=3"),
        ("(-\\infty,1)\\cup(2,\\infty)", "x<1"),
        ("(-\\infty,1)\\cup(2,\\infty)", "1<x<2"),
        ("x=1 or x=2", "1"),
        ("1,2", "x=1"),
        ("5 km", "5 m"),
        ("5\\text{ cm}", "5 inches"),
        ("5.4 \\text{ cents}", "5.4 dollars"),
        ("5m", "5"),
        ("2xy", "2"),
        ("\\emptyset", "0"),
        ("\\emptyset", "\\{0\\}"),
        ("\\frac{1}{3}", "0.3"),
        ("x^2", "x^3"),
        ("10³", "10²"),
        ("½", "¼"),
        ("x_1", "x_2"),
        ("3R^2", "3r^2"),
        ("1,2", "2,3"),
        ("(1,2)", "\\{1,2\\}"),
        ("[1,2]", "1,2"),
        ("0.\\overline{3}", "0.3"),
        ("70", "70.5"),
        ("70", "7"),
        ("70", "-70"),
        ("70", "70!"),
        ("x>1", "x\\ge 1"),
        ("x>1", "x<1"),
        ("x>1", "y>1"),
        ("x<y", "y<x"),
        ("6", "x=5"),
        ("x=1, y=2", "x=2, y=1"),
        ("52_8", "52_9"),
        ("\\mathbb{R}", "(0,\\infty)"),
        ("i", "1"),
        ("2+3i", "2-3i"),
        ("\\text{no}", "\\text{on}"),
        ("x+y=1", "x+y=2"),
        ("\\sqrt{x^2}", "x"),
        ("1 \\pm 2", "3"),
        ("70", "70x"),
        ("e^2", "e^3"),
        ("5%", "5.5%"),
        ("\\frac{\\sqrt{2}}{2}", "0.7071"),
        ("100!", "100!+1"),
        ("2^{100}", "1.267650600228229e30"),
        ("\\{1,2\\}", "\\{1,2,3\\}"),
        ("(1,2,3)", "(1,2)"),
    ],
)
def test_answers_that_are_not_the_same_in_either_direction(one: str, other: str, algebra: Algebra) -> None:
    assert equal(one, other, algebra) != "equal"
    assert equal(other, one, algebra) != "equal"


@pytest.mark.parametrize(
    ("gold", "attempt", "problem", "expected"),
    [
        ("\\pi", "3.14", "Round your answer to the nearest hundredth.", "equal"),
        ("\\pi", "3.1", "Round your answer to the nearest hundredth.", "different"),
        ("\\pi", "3.15", "rounded to the nearest hundredth", "different"),
        ("\\pi", "3.142", "to three decimal places", "equal"),
        ("\\pi", "3.1416", "to three decimal places", "different"),
        ("\\pi", "3", "nearest integer", "equal"),
        ("3.14", "\\pi", "nearest hundredth", "equal"),
        ("\\pi", "3.14", "approximately", "equal"),
        ("\\pi", "3", "approximately", "different"),
        ("1/3", "0.33", "nearest hundredth", "equal"),
        ("1/3", "0.33", "", "different"),
        ("100\\pi", "314", "3 significant figures", "equal"),
        ("1000\\pi", "3140", "nearest ten", "equal"),
        ("\\pi", "3.14", "King Arthur sat at a round table", "different"),
        ("0.333", "1/3", "Express as a decimal rounded to three places", "equal"),
        ("3.14", "3.1", "nearest tenth", "different"),
        ("2\\sqrt{2} cm", "2.83 cm", "nearest hundredth", "equal"),
    ],
)
def test_a_decimal_is_another_value_only_where_rounding_is_asked(
    gold: str, attempt: str, problem: str, expected: str, algebra: Algebra
) -> None:
    assert equal(gold, attempt, algebra, problem) == expected


VALUES = st.fractions(max_denominator=99).filter(lambda value: abs(value) < 10_000)


def ways(value: Fraction) -> list[str]:
    """Return ways to write a value."""
    above, below, sign = abs(value.numerator), value.denominator, "-" if value < 0 else ""
    written = [
        f"{sign}\\frac{{{above}}}{{{below}}}",
        f"{value.numerator}/{below}",
        f"\\frac{{{value.numerator}}}{{{below}}}",
    ]
    written += [f"x = {sign}\\dfrac{{{above}}}{{{below}}}", f"{sign}\\frac{{{above}}}{{{below}}} \\text{{ cm}}"]
    if below == 1:
        written += [
            f"{value.numerator:,}",
            f"{value.numerator}.0",
            f"{value.numerator}。",
            f"${value.numerator}$",
            f"{sign}\\${above}",
        ]
    else:
        whole, rest = divmod(above, below)
        written += [f"{sign}{whole}\\frac{{{rest}}}{{{below}}}"] if whole else []
        written += [repeating(value)]
    return written


def repeating(value: Fraction) -> str:
    """Return a value as a decimal, with what repeats under a bar."""
    whole, rest = divmod(abs(value.numerator), value.denominator)
    digits, seen = "", {}
    while rest and rest not in seen:
        seen[rest] = len(digits)
        digit, rest = divmod(10 * rest, value.denominator)
        digits += str(digit)
    sign = "-" if value < 0 else ""
    return (
        f"{sign}{whole}.{digits[: seen[rest]]}\\overline{{{digits[seen[rest] :]}}}"
        if rest
        else f"{sign}{whole}.{digits}"
    )


@given(VALUES, st.data())
def test_all_ways_to_write_one_value_are_equal(value: Fraction, data: st.DataObject) -> None:
    one, other = (data.draw(st.sampled_from(ways(value))) for _ in range(2))
    assert equal(one, other, NONE) == "equal"


@given(VALUES, VALUES, st.data())
def test_no_way_to_write_a_value_is_another_value(one: Fraction, other: Fraction, data: st.DataObject) -> None:
    assume(one not in (other, other * 100, other / 100))
    assert equal(data.draw(st.sampled_from(ways(one))), data.draw(st.sampled_from(ways(other))), NONE) == "different"


@given(st.integers(-50, 50), st.integers(1, 50), st.sampled_from(("<", "\\le ")), st.sampled_from(("<", "\\le ")))
def test_a_chain_of_inequalities_is_its_interval_in_both_directions(
    low: int, width: int, left: str, right: str
) -> None:
    chain = f"{low}{left}x{right}{low + width}"
    interval = f"{'(' if left == '<' else '['}{low},{low + width}{')' if right == '<' else ']'}"
    assert equal(chain, interval, NONE) == equal(interval, chain, NONE) == "equal"
    assert equal(f"{low}{left}x{right}{low + width + 1}", interval, NONE) == "different"
