"""A simulated provenance ledger: data sets are collected and cleaned, models trained and evaluated."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import ClassVar

from strandline.journal.make.block import later
from strandline.journal.simulation.ledger import Document, SimulatedLedger, Transaction, keep, new_id, take

_KEPT = 200
_HOUR = timedelta(hours=1)
_SUBJECTS = ("orders", "claims", "tickets", "readings", "invoices", "reviews")
_TEAMS = ("data platform", "risk models", "claims research")


class ProvenanceLedger(SimulatedLedger):
    """Documents in the terms of W3C PROV: entities, activities, agents, and four relations between them."""

    name = "provenance"
    tables: ClassVar = {
        "Entity": "entityId",
        "Activity": "activityId",
        "Agent": "agentId",
        "Used": "activityId",
        "WasGeneratedBy": "entityId",
        "WasDerivedFrom": "generatedEntityId",
        "WasAttributedTo": "entityId",
    }

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self._agents: list[str] = []
        self._raw: list[str] = []
        self._clean: list[str] = []
        self._models: list[str] = []
        self._entities: list[Document] = []
        self._made = 0

    def act(self, transaction: Transaction, *, first: int, late: bool) -> None:
        ready: list[Callable[[Transaction], None]] = [self._collect]
        ready += [self._cleaning] if self._raw else []
        ready += [self._training] * 2 if self._clean else []
        ready += [self._evaluation] if self._models else []
        if not self._agents:
            self._introduce(transaction)
        # The first transactions make one chain from end to end, so that the smallest journal has a lineage.
        (ready[-1] if first < 5 else self.random.choice(ready))(transaction)

    def outdate(self, transaction: Transaction) -> None:
        if not self._entities:
            return self._collect(transaction)
        entity = self.random.choice(self._entities)
        data = {**entity.data, "label": f"{entity.data['label'].removesuffix(' (archived)')} (archived)"}
        transaction.run("UPDATE Entity AS e SET e.label = ? WHERE e.entityId = ?", data["label"], data["entityId"])
        return transaction.revise(entity, data)

    def _introduce(self, transaction: Transaction) -> None:
        for team in _TEAMS:
            agent = f"agent/{team.replace(' ', '-')}"
            self._insert(transaction, "Agent", {"agentId": agent, "type": "Organization", "label": f"Team {team}"})
            self._agents.append(agent)

    def _collect(self, transaction: Transaction) -> None:
        subject = self.random.choice(_SUBJECTS)
        collected = self._entity(transaction, "dataset", "DataSet", f"{subject}, as collected")
        agent = self.random.choice(self._agents)
        self._insert(transaction, "WasAttributedTo", {"entityId": collected, "agentId": agent})
        keep(self.random, self._raw, collected, _KEPT)

    def _cleaning(self, transaction: Transaction) -> None:
        source = take(self.random, self._raw)
        cleaned = self._step(transaction, "Cleaning", [source], "dataset", "DataSet", "cleaned data")
        keep(self.random, self._clean, cleaned, _KEPT)

    def _training(self, transaction: Transaction) -> None:
        sources = list(dict.fromkeys(self.random.choices(self._clean, k=3)))
        model = self._step(transaction, "Training", sources, "model", "Model", "a model")
        keep(self.random, self._models, model, _KEPT)

    def _evaluation(self, transaction: Transaction) -> None:
        sources = [self.random.choice(self._models), self.random.choice(self._clean)]
        self._step(transaction, "Evaluation", sources, "report", "Report", "an evaluation")

    def _step(self, transaction: Transaction, kind: str, sources: list[str], prefix: str, made: str, label: str) -> str:
        """Add an activity that used the sources and generated one entity; returns the entity's id."""
        self._made += 1
        activity = f"run/{kind.lower()}-{self._made:05d}"
        times = {"startedAt": transaction.time, "endedAt": later(transaction.time, _HOUR)}
        self._insert(transaction, "Activity", {"activityId": activity, "type": kind, "label": f"{kind} run", **times})
        for source in sources:
            self._insert(transaction, "Used", {"activityId": activity, "entityId": source})
        entity = self._entity(transaction, prefix, made, label)
        self._insert(transaction, "WasGeneratedBy", {"entityId": entity, "activityId": activity})
        for source in sources:
            self._insert(transaction, "WasDerivedFrom", {"generatedEntityId": entity, "usedEntityId": source})
        return entity

    def _entity(self, transaction: Transaction, prefix: str, kind: str, label: str) -> str:
        self._made += 1
        entity = f"{prefix}/{self._made:05d}"
        digest = f"sha256:{self.random.randbytes(32).hex()}"
        place = f"s3://example-lake/{entity}"
        data = {"entityId": entity, "type": kind, "label": label, "digest": digest, "location": place}
        keep(self.random, self._entities, self._insert(transaction, "Entity", data), _KEPT)
        return entity

    def _insert(self, transaction: Transaction, table: str, data: Mapping[str, object]) -> Document:
        return transaction.insert(new_id(self.random), table, dict(data))
