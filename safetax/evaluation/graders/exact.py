r"""Whether two things that computer algebra has read are exactly equal.

Numbers are equal when no difference shows in ``DIGITS`` significant digits, expressions when they are so wherever their
unknowns are put to (Schwartz and Zippel), equations when one is a multiple of the other. No floating-point tolerance
decides: 2^-98 is not 2^-99, and pi is not 3.141593.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sympy
from sympy.core.evalf import PrecisionExhausted
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, BooleanAtom, Or

from safetax.store.time_limit import TooLongError

DIGITS = 500
"""Significant digits in which two numbers have to be the same."""
LARGEST = 200_000
"""Bits beyond which a power or a factorial is not worked out: no answer is one, and the work has no bound."""
_POINTS = 5
"""Places where two expressions are compared."""
_ENOUGH = 3
"""Places among them where both have to have a value."""
_RELATION = (Relational, And, Or)  # a Symbol is a Boolean too


class UnreadableError(Exception):
    """What was read is nothing that has a value."""


def same(gold: Any, attempt: Any) -> bool:
    """Return whether two expressions, sets, relations or matrices are the same.

    Raises:
        UnreadableError: one of them has no value.
        TooLongError: a number in one of them is too large to be worked out.
    """
    return _same(_worked_out(gold), _worked_out(attempt))


def rounds_to(value: Any, rounded: Any, places: int) -> bool:
    """Return whether a number is another one when it is rounded to so many decimal places."""
    difference = _worked_out(value) - _worked_out(rounded)
    if not isinstance(difference, sympy.Expr) or difference.free_symbols or not difference.is_extended_real:
        return False
    return bool(sympy.Abs(difference).evalf(30) <= sympy.Rational(1, 2) * sympy.Integer(10) ** -places)


def _worked_out(value: Any) -> Any:
    """Return a value whose decimals are exact, whose unknowns are told apart by name alone, and which is evaluated."""
    if isinstance(value, sympy.MatrixBase):
        return sympy.ImmutableMatrix(value.applyfunc(_worked_out))
    if not isinstance(value, sympy.Basic):
        raise UnreadableError
    if isinstance(value, Relational):
        return type(value)(_worked_out(value.lhs), _worked_out(value.rhs), evaluate=False)
    if isinstance(value, And | Or):
        kind: Any = type(value)
        return kind(*map(_worked_out, value.args), evaluate=False)
    if isinstance(value, sympy.FiniteSet):
        return sympy.FiniteSet(*map(_worked_out, value.args))
    _check_size(value)
    value = value.replace(lambda part: isinstance(part, sympy.Float), lambda part: sympy.Rational(str(part)))
    names = {symbol: _unknown(symbol.name) for symbol in value.free_symbols if isinstance(symbol, sympy.Symbol)}
    value = value.subs(names, simultaneous=True).doit()
    if value.has(sympy.nan, sympy.zoo) or isinstance(value, BooleanAtom):
        raise UnreadableError
    return value


def _unknown(name: str) -> Any:
    return sympy.I if name == "i" else sympy.E if name == "e" else sympy.Symbol(name)


def _check_size(value: Any) -> None:
    """Raise TooLongError where a power or a factorial of numbers is too large; what is inside it comes first."""
    for part in sympy.postorder_traversal(value):
        if isinstance(part, sympy.Pow):
            base, power = part.args
            if isinstance(power, sympy.Expr) and power.is_number:
                bits = max(_magnitude(base), 2.0) if base.is_number else 8.0
                if abs(float(power.evalf(10)) if power.is_real else 0.0) * bits > LARGEST:
                    raise TooLongError
        elif isinstance(part, sympy.factorial | sympy.binomial | sympy.gamma | sympy.subfactorial):
            if any(argument.is_number and _magnitude(argument) > 12 for argument in part.args):
                raise TooLongError
        elif isinstance(part, sympy.exp) and part.args[0].is_number and _magnitude(part.args[0]) > 17:
            raise TooLongError


def _magnitude(value: Any) -> float:
    """Return the binary logarithm of the absolute value of a number, or 0 where that is less."""
    if isinstance(value, sympy.Rational):
        return float(max(int(value.p).bit_length(), int(value.q).bit_length()))
    found = sympy.Abs(value).evalf(10)
    return max(float(sympy.log(found, 2).evalf(10)), 0.0) if found.is_Float and found > 0 else 0.0


def _same(gold: Any, attempt: Any) -> bool:
    if isinstance(gold, sympy.MatrixBase) or isinstance(attempt, sympy.MatrixBase):
        return (
            isinstance(gold, sympy.MatrixBase)
            and isinstance(attempt, sympy.MatrixBase)
            and gold.shape == attempt.shape
            and all(map(_same, gold.flat(), attempt.flat()))
        )
    if isinstance(gold, sympy.Set) or isinstance(attempt, sympy.Set):
        return _same_sets(_as_set(gold), _as_set(attempt))
    if isinstance(gold, _RELATION) or isinstance(attempt, _RELATION):
        return isinstance(gold, _RELATION) and isinstance(attempt, _RELATION) and _same_relations(gold, attempt)
    if isinstance(gold, sympy.Tuple) or isinstance(attempt, sympy.Tuple):
        both = isinstance(gold, sympy.Tuple) and isinstance(attempt, sympy.Tuple)
        return both and len(gold) == len(attempt) and all(map(_same, gold, attempt))
    return gold == attempt or _vanishes(gold - attempt)


def _as_set(value: Any) -> Any:
    if isinstance(value, sympy.Set):
        return value
    if isinstance(value, _RELATION):
        if len(value.free_symbols) != 1:
            raise UnreadableError
        relation: Any = value.subs(value.free_symbols.pop(), sympy.Dummy(real=True))
        return relation.as_set()
    return sympy.FiniteSet(value)


def _same_sets(gold: Any, attempt: Any) -> bool:
    if gold == attempt:
        return True
    if isinstance(gold, sympy.FiniteSet) and isinstance(attempt, sympy.FiniteSet):
        return _paired(gold.args, attempt.args)
    if isinstance(gold, sympy.Interval) and isinstance(attempt, sympy.Interval):
        open_ends = (gold.left_open, gold.right_open) == (attempt.left_open, attempt.right_open)
        return bool(open_ends) and _same(gold.start, attempt.start) and _same(gold.end, attempt.end)
    if isinstance(gold, sympy.Union) and isinstance(attempt, sympy.Union):
        return _paired(gold.args, attempt.args)
    return False


def _paired(gold: Sequence[Any], attempt: Sequence[Any]) -> bool:
    """Whether each element of one is the same as one of the other."""
    left = list(attempt)
    for ours in gold:
        found = next((index for index, theirs in enumerate(left) if _same(ours, theirs)), None)
        if found is None:
            return False
        del left[found]
    return not left


_FLIPPED = {sympy.Ge: sympy.Le, sympy.Gt: sympy.Lt}


def _same_relations(gold: Any, attempt: Any) -> bool:
    if isinstance(gold, Relational) and isinstance(attempt, Relational):
        (kind, ours), (other, theirs) = _sided(gold), _sided(attempt)
        return kind is other and _proportional(ours, theirs, either_sign=kind in (sympy.Eq, sympy.Ne))
    if gold.free_symbols == attempt.free_symbols and len(gold.free_symbols) == 1:
        return _same_sets(_as_set(gold), _as_set(attempt))
    if type(gold) is type(attempt) and len(gold.args) == len(attempt.args):
        return _paired(gold.args, attempt.args)
    return False


def _sided(relation: Any) -> tuple[Any, Any]:
    """Return the kind of a relation, flipped to *less than*, and what it compares with 0."""
    kind, difference = relation.func, relation.lhs - relation.rhs
    if kind in _FLIPPED:
        return _FLIPPED[kind], -difference
    if kind is sympy.Eq:
        return kind, sympy.fraction(sympy.together(difference))[0]
    return kind, difference


def _proportional(one: Any, other: Any, either_sign: bool) -> bool:
    if one.free_symbols != other.free_symbols or not one.free_symbols:
        return False
    for point in _points(one.free_symbols):
        first, second = one.subs(point), other.subs(point)
        if not (_has_value(first) and _has_value(second)) or _is_zero(first) or _is_zero(second):
            continue
        return (either_sign or bool((first / second).is_positive)) and _vanishes(one * second - other * first)
    return False


def _vanishes(expression: Any) -> bool:
    """Whether an expression is 0 wherever it has a value."""
    unknowns = expression.free_symbols | expression.atoms(sympy.core.function.AppliedUndef)
    if not unknowns:
        return _is_zero(expression)
    met = 0
    for point in _points(unknowns):
        value = expression.subs(point)
        if _has_value(value):
            met += 1
            if not _is_zero(value):
                return False
    if met < _ENOUGH:
        raise UnreadableError
    return True


def _points(unknowns: Iterable[Any]) -> Iterator[dict[Any, Any]]:
    """Yield places far from each other, each with a number of its own for each unknown, negative ones too."""
    ordered = sorted(unknowns, key=str)
    for turn in range(_POINTS):
        yield {
            unknown: sympy.Rational(
                (-1) ** (turn + index * (turn // 2)) * sympy.prime(7 + 3 * turn + index), 5 + 2 * turn
            )
            for index, unknown in enumerate(ordered)
        }


def _has_value(value: Any) -> bool:
    return not value.free_symbols and not value.has(sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)


def _is_zero(value: Any) -> bool:
    """Whether a number is 0, as far as ``DIGITS`` significant digits of its parts show."""
    if value.is_Rational:
        return bool(value == 0)
    if value.is_infinite:
        return False
    try:
        found = value.evalf(5, maxn=DIGITS, strict=True)
    except PrecisionExhausted:
        return True
    if not found.is_number or (not found.is_comparable and not found.is_complex):
        raise UnreadableError
    return bool(found == 0)
