"""The syntax tree: what a statement says, as immutable dataclasses.

Chains (`a AND b AND c`, `a + b - c`, `a.b.c`) are flat, so that the depth of a tree is that of its parentheses.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias
from typing import Literal as OneOf

# ---------------------------------------------------------------------------------------------------------------------
# Expressions


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A value. Compared by identity: Ion values have several notions of equality."""

    value: Any


@dataclass(frozen=True, slots=True)
class MissingLiteral:
    """The keyword MISSING."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A question mark; they are numbered from 0."""

    number: int


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, a field of an unnamed source, or a table. `local` is set by `@`: no table is meant."""

    name: str
    position: int
    local: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """`root.a[0]['b']`; each step is an expression that gives a field's name or a position from 0."""

    root: "Expression"
    steps: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class ListOf:
    items: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class BagOf:
    items: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class StructOf:
    members: "tuple[tuple[Expression, Expression], ...]"


@dataclass(frozen=True, slots=True)
class And:
    items: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    items: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Compare:
    operator: OneOf["=", "<>", "<", "<=", ">", ">="]
    left: "Expression"
    right: "Expression"


@dataclass(frozen=True, slots=True)
class In:
    operand: "Expression"
    collection: "Expression"


@dataclass(frozen=True, slots=True)
class Like:
    operand: "Expression"
    pattern: "Expression"
    escape: "Expression | None"


@dataclass(frozen=True, slots=True)
class Between:
    operand: "Expression"
    low: "Expression"
    high: "Expression"


@dataclass(frozen=True, slots=True)
class Is:
    """`operand IS type`; the type is in upper case."""

    operand: "Expression"
    type: str


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`first (operator operand)…`, from left to right; operators are + - * / % and ||."""

    first: "Expression"
    rest: "tuple[tuple[str, Expression], ...]"


@dataclass(frozen=True, slots=True)
class Negative:
    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Case:
    """`subject` is None for CASE WHEN condition."""

    subject: "Expression | None"
    branches: "tuple[tuple[Expression, Expression], ...]"
    otherwise: "Expression"


@dataclass(frozen=True, slots=True)
class Call:
    """A function's name in upper case. Keywords among its arguments (a date's part, a type) are string literals."""

    function: str
    arguments: "tuple[Expression, ...]"
    position: int


@dataclass(frozen=True, slots=True)
class Aggregate:
    """COUNT, SUM, MIN, MAX or AVG; `operand` is None for COUNT(*)."""

    function: str
    operand: "Expression | None"
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Exists:
    collection: "Expression"


# ---------------------------------------------------------------------------------------------------------------------
# Queries


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a SELECT list. `spread` is `expression.*`."""

    expression: "Expression"
    alias: str | None
    spread: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """An item of FROM. `at` names the position, `by` the document's id.

    `join` says how it follows the sources before it; `on` is the condition of a JOIN.
    """

    expression: "Expression"
    alias: str | None
    at: str | None = None
    by: str | None = None
    unpivot: bool = False
    join: OneOf["inner", "left"] = "inner"
    on: "Expression | None" = None


@dataclass(frozen=True, slots=True)
class Select:
    """`items` is None for `*`; `value` is that of SELECT VALUE."""

    items: tuple[Item, ...] | None
    value: "Expression | None"
    sources: tuple[Source, ...]
    where: "Expression | None"
    group_by: tuple[Item, ...] | None = None
    having: "Expression | None" = None


Expression: TypeAlias = (
    Literal | MissingLiteral | Parameter | Name | Path | ListOf | BagOf | StructOf | And | Or | Not | Compare | In
    | Like | Between | Is | Arithmetic | Negative | Case | Call | Aggregate | Exists | Select
)  # fmt: skip

# ---------------------------------------------------------------------------------------------------------------------
# Changes


@dataclass(frozen=True, slots=True)
class Insert:
    """INSERT INTO table: one document, or a bag or list of them."""

    table: Name
    value: Expression


@dataclass(frozen=True, slots=True)
class SetPath:
    target: Name | Path
    value: Expression


@dataclass(frozen=True, slots=True)
class RemovePath:
    target: Name | Path


@dataclass(frozen=True, slots=True)
class InsertInto:
    """INSERT INTO a list or struct within a document; `at` is a position or a field's name."""

    target: Name | Path
    value: Expression
    at: Expression | None


@dataclass(frozen=True, slots=True)
class DeleteDocument:
    """The operation of DELETE."""


Operation: TypeAlias = SetPath | RemovePath | InsertInto | DeleteDocument


@dataclass(frozen=True, slots=True)
class Change:
    """UPDATE, FROM or DELETE. The first source is the table, the others are collections within its documents."""

    sources: tuple[Source, ...]
    operations: tuple[Operation, ...]
    where: Expression | None


# ---------------------------------------------------------------------------------------------------------------------
# Definitions


@dataclass(frozen=True, slots=True)
class CreateTable:
    name: str


@dataclass(frozen=True, slots=True)
class CreateIndex:
    table: Name
    field: str


@dataclass(frozen=True, slots=True)
class DropTable:
    table: Name


@dataclass(frozen=True, slots=True)
class DropIndex:
    index_id: str
    table: Name


@dataclass(frozen=True, slots=True)
class UndropTable:
    table_id: str


@dataclass(frozen=True, slots=True)
class Exec:
    """EXEC procedure argument, …; the procedure's name is in lower case."""

    procedure: str
    arguments: tuple[Expression, ...]
    position: int


Node: TypeAlias = Select | Insert | Change | CreateTable | CreateIndex | DropTable | DropIndex | UndropTable | Exec


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed statement; `parameters` is the number of its question marks."""

    node: Node
    parameters: int
    text: str
