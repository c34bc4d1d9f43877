"""Runs one statement over a transaction."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from strandline.journal.make.block import timestamp
from strandline.ledger import errors
from strandline.ledger.execution import access, assignments
from strandline.ledger.execution.documents import Documents, Struct, id_of
from strandline.ledger.execution.plan import Step, Stored, Value, no_such_variable
from strandline.ledger.execution.query import Queries
from strandline.ledger.partiql import syntax
from strandline.ledger.partiql.errors import SemanticError
from strandline.ledger.partiql.parser import MOST_CACHED, parse
from strandline.ledger.partiql.rows import Row
from strandline.ledger.partiql.values import MISSING, SEQUENCES, STRUCTS, Bag, kind, text_of
from strandline.ledger.transaction import MOST_DOCUMENTS

_NOTHING = Row({})
_DEFINITIONS: dict[type[syntax.Node], str] = {
    syntax.CreateIndex: access.CREATE_INDEX,
    syntax.DropIndex: access.DROP_INDEX,
    syntax.DropTable: access.DROP_TABLE,
}


class Result:
    """The rows of a statement, as Ion values. Changes have happened; a query's rows are read as they are asked for."""

    def __init__(self, rows: Iterator[Any], queries: Queries | None = None) -> None:
        self._rows = rows
        self._queries = queries

    def __iter__(self) -> Iterator[Any]:
        for row in self._rows:
            yield _as_ion(row)

    @property
    def reads(self) -> int:
        """The rows read so far, at every level of a join."""
        return self._queries.reads if self._queries is not None else 0


def run(documents: Documents, text: str, parameters: Sequence[Any], check: Callable[[], None]) -> Result:
    """Run a statement. Raises StatementError, or another LedgerError."""
    statement = parse(text)
    if statement.parameters != len(parameters):
        raise SemanticError(
            f"Semantic Error: the statement has {statement.parameters} parameters, {len(parameters)} were given"
        )
    now = timestamp(time.time_ns() // 1_000_000)
    documents.begin_statement(text, parameters, now)
    plans = documents.plans if len(text) <= MOST_CACHED else None  # a longer one is parsed, and planned, each time
    return _Run(documents, Queries(documents, tuple(parameters), now, check, plans)).run(statement.node)


class _Run:
    def __init__(self, documents: Documents, queries: Queries) -> None:
        self._documents = documents
        self._queries = queries
        self._evaluator = queries.evaluator

    def run(self, node: syntax.Node) -> Result:
        if isinstance(node, syntax.Select):
            return Result(iter(self._queries.select(node, _NOTHING)), self._queries)
        if isinstance(node, syntax.Insert):
            return self._result(self._insert(node))
        if isinstance(node, syntax.Change):
            return self._result(self._change(node))
        return self._result([self._define(node) if not isinstance(node, syntax.Exec) else self._exec(node)])

    def _result(self, rows: Sequence[Struct]) -> Result:
        return Result(iter(rows), self._queries)

    # -- definitions

    def _define(
        self,
        node: syntax.CreateTable | syntax.CreateIndex | syntax.DropTable | syntax.DropIndex | syntax.UndropTable,
    ) -> Struct:
        if isinstance(node, syntax.CreateTable):
            self._documents.check_access(access.CREATE_TABLE, node.name)
            return {"tableId": self._documents.create_table(node.name)}
        if isinstance(node, syntax.UndropTable):
            self._documents.check_access(access.UNDROP_TABLE, self._name_of(node.table_id))
            self._documents.undrop_table(node.table_id)
            return {"tableId": node.table_id}
        name, table = node.table.name, self._documents.table(node.table.name)
        self._documents.check_access(_DEFINITIONS[type(node)], name)
        if table is None:
            raise no_such_variable(name)
        if isinstance(node, syntax.CreateIndex):
            self._documents.create_index(name, node.field)
        elif isinstance(node, syntax.DropIndex):
            self._documents.drop_index(name, node.index_id)
            return {"tableId": id_of(table), "indexId": node.index_id}
        else:
            self._documents.drop_table(name)
        return {"tableId": id_of(table)}

    def _exec(self, node: syntax.Exec) -> Struct:
        if node.procedure != "redact_revision":
            raise SemanticError(f"Semantic Error: No such stored procedure: {node.procedure}")
        arguments = [self._evaluator.value(one, _NOTHING) for one in node.arguments]
        if len(arguments) != 3 or not isinstance(arguments[0], STRUCTS) or None in map(text_of, arguments[1:]):
            raise SemanticError(
                "Semantic Error: redact_revision has a block address {strandId, sequenceNo}, a table id, a document id"
            )
        address, table_id, document_id = arguments
        self._documents.check_access(access.REDACT, self._name_of(text_of(table_id) or ""))
        named = {"strandId": text_of(address.get("strandId")), "sequenceNo": address.get("sequenceNo")}
        done = self._documents.redact_revision(named, text_of(table_id) or "", text_of(document_id) or "")
        return {
            "blockAddress": {"strandId": done.strand_id, "sequenceNo": done.sequence_no},
            "tableId": done.table_id,
            "documentId": done.document_id,
            "version": done.version,
        }

    def _name_of(self, table_id: str) -> str:
        """Return the name of a table, active or dropped; an empty one if there is none of this id."""
        table = self._documents.table_of_id(table_id)
        return "" if table is None else table.name

    # -- changes

    def _insert(self, node: syntax.Insert) -> list[Struct]:
        self._documents.check_access(access.INSERT, node.table.name)
        if self._documents.table(node.table.name) is None:
            raise no_such_variable(node.table.name)
        value = _as_ion(self._evaluator.value(node.value, _NOTHING))
        documents = value if kind(value) in SEQUENCES else [value]
        return [{"documentId": self._documents.insert(node.table.name, one)} for one in documents]

    def _change(self, node: syntax.Change) -> list[Struct]:
        steps = self._queries.plan(node.sources, node.where)
        origin = steps[0].origin
        if not isinstance(origin, Stored) or origin.view != "user":
            raise SemanticError("Semantic Error: a statement changes the documents of a table, not a view or a value")
        if not all(isinstance(step.origin, Value) and not step.source.unpivot for step in steps[1:]):
            raise SemanticError("Semantic Error: a statement changes one table and the collections in its documents")
        for action in {_action(one, steps[0].alias) for one in node.operations}:
            self._documents.check_access(action, origin.table.name)
        rows: dict[str, list[Row]] = {}
        for row in self._queries.rows(steps, _NOTHING):
            document_id = row.places[0].document_id
            assert document_id is not None
            rows.setdefault(document_id, []).append(row)
            if len(rows) > MOST_DOCUMENTS:
                raise errors.TooManyDocuments(f"a transaction writes {MOST_DOCUMENTS} documents at most; begin another")
        changed: list[Struct] = []
        for document_id, found in rows.items():
            change = _DocumentChange(self._queries, steps, found[0].variables[steps[0].alias])
            for row in found:
                change.apply(node.operations, row)
            self._documents.rewrite(origin.table, document_id, change.data, change.assignments)
            changed += [{"documentId": document_id}] * change.assignments
        return changed


class _DocumentChange:
    """The operations of a statement on one document, in their order: each sees what those before it did."""

    def __init__(self, queries: Queries, steps: tuple[Step, ...], data: Any) -> None:
        self.data = data
        self.assignments = 0
        self._evaluator = queries.evaluator
        self._steps = steps

    def apply(self, operations: Sequence[syntax.Operation], row: Row) -> None:
        paths = self._paths(row)
        for operation in operations:
            if self.data is None:
                return
            self._apply(operation, self._current(row, paths), paths)
            self.assignments += 1

    def _apply(self, operation: syntax.Operation, row: Row, paths: dict[str, list[str | int]]) -> None:
        if isinstance(operation, syntax.DeleteDocument):
            self.data = None
            return
        path = self._target(operation.target, row, paths)
        if isinstance(operation, syntax.RemovePath):
            self.data = assignments.removed(self.data, path) if path else None
            return
        value = _as_ion(self._evaluator.value(operation.value, row))
        if isinstance(operation, syntax.InsertInto):
            at = None if operation.at is None else self._name(operation.at, row)
            self.data = assignments.inserted(self.data, path, value, at)
        else:
            self.data = assignments.assigned(self.data, path, value)
        if not isinstance(self.data, STRUCTS):
            raise errors.WrongDocument("a document is a struct with named members")

    def _target(self, node: syntax.Name | syntax.Path, row: Row, paths: dict[str, list[str | int]]) -> list[str | int]:
        root = node if isinstance(node, syntax.Name) else node.root
        assert isinstance(root, syntax.Name)
        steps = [] if isinstance(node, syntax.Name) else [self._name(one, row) for one in node.steps]
        if root.name in paths:
            return [*paths[root.name], *steps]
        if any(root.name in (step.source.by, step.source.at) for step in self._steps):
            raise SemanticError(f"Semantic Error: {root.name} cannot be changed")
        return [root.name, *steps]

    def _name(self, node: syntax.Expression, row: Row) -> str | int:
        value = self._evaluator.value(node, row)
        text = text_of(value)
        if text is None and kind(value) != "int":
            raise SemanticError("Semantic Error: a step of a path is a name or a position")
        return int(value) if text is None else text

    def _paths(self, row: Row) -> dict[str, list[str | int]]:
        """Return the path of each source's value in the document."""
        paths: dict[str, list[str | int]] = {self._steps[0].alias: []}
        for step, place in zip(self._steps[1:], row.places[1:], strict=True):
            node = step.source.expression
            root = node.root if isinstance(node, syntax.Path) else node
            if isinstance(root, syntax.Name):
                names = [self._name(one, row) for one in node.steps] if isinstance(node, syntax.Path) else []
                base = paths.get(root.name, [root.name] if not row.binds(root.name) else None)
                if base is not None:
                    paths[step.alias] = [*base, *names, place.position]
        return paths

    def _current(self, row: Row, paths: dict[str, list[str | int]]) -> Row:
        """Return the row with the values that the sources have now."""
        now = {}
        for alias, path in paths.items():
            value = self.data
            for name in path:
                value = value[name] if _has(value, name) else MISSING
            now[alias] = value
        return Row({**row.variables, **now}, row.sources, row.outer, boundary=row.boundary)


def _action(operation: syntax.Operation, alias: str) -> str:
    """Return the action that an operation is. REMOVE of the document itself, by its alias, deletes it."""
    if isinstance(operation, syntax.RemovePath):
        target = operation.target
        return access.DELETE if isinstance(target, syntax.Name) and target.name == alias else access.UPDATE
    return access.DELETE if isinstance(operation, syntax.DeleteDocument) else access.UPDATE


def _has(value: Any, name: str | int) -> bool:
    if isinstance(value, STRUCTS):
        return name in value
    return isinstance(value, list) and isinstance(name, int) and name < len(value)


def _as_ion(value: Any) -> Any:
    """Return a value without bags, which Ion has not."""
    if type(value) is Bag:
        return [_as_ion(one) for one in value]
    if type(value) is dict and any(type(one) in (dict, list, Bag) for one in value.values()):
        return {name: _as_ion(one) for name, one in value.items()}
    if type(value) is list and any(type(one) in (dict, list, Bag) for one in value):
        return [_as_ion(one) for one in value]
    return value
