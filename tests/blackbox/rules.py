"""The business rule that ships, calculated a second time: from the sample files, with nothing of the program's."""

import csv
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

UNAVAILABLE_BALANCE = "unavailable balance"
PERSONAL_LOAN_CAMPAIGN = "personal loan campaign"
DEBT_RENEGOTIATION = "debt renegotiation"
# What a customer is classified as for each reaction.
MOVEMENT_OF = {
    UNAVAILABLE_BALANCE: "withdrawal",
    PERSONAL_LOAN_CAMPAIGN: "loan",
    DEBT_RENEGOTIATION: "renegotiation",
}

WITHDRAW = 1


def accounts(path):
    """Accounts by customer_id."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return {int(row["customer_id"]): row for row in csv.DictReader(file)}


def reactions(movement, account):
    """The reactions to one movement, in their fixed order. `account` is None for a customer nobody knows."""
    found = []
    if movement["operation_type"] == WITHDRAW and movement["operation_value"] > movement["account_balance"]:
        found.append(UNAVAILABLE_BALANCE)
    if account is None:
        return found
    score = int(account["credit_score"])
    if account["account_type"] == "premium" and score >= 300:
        found.append(PERSONAL_LOAN_CAMPAIGN)
    if int(account["age"]) >= 30 or score <= 200:
        found.append(DEBT_RENEGOTIATION)
    return found


@dataclass
class Account:
    """What the bank knows of a customer: the columns of `account_state`."""

    movements: int = 0
    deposits: int = 0
    deposited: Decimal = Decimal("0.00")
    withdrawals: int = 0
    withdrawn: Decimal = Decimal("0.00")
    refused: int = 0
    refused_in_a_row: int = 0
    last_movement: str | None = None
    last_balance: float | None = None


class Accounts:
    """State kept one movement after the other, in the order in which they are added."""

    def __init__(self):
        self.by_customer = {}
        self.before = {}

    @staticmethod
    def amount(value):
        return Decimal(repr(value)).quantize(Decimal("0.01"))

    def add(self, place, movement):
        """Counts the movement that stands at `place`, (partition, offset)."""
        account = self.by_customer.setdefault(movement["customer"], Account())
        self.before[place] = (
            movement["customer"],
            account.movements,
            account.refused_in_a_row,
            account.last_movement,
            account.last_balance,
        )
        value = self.amount(movement["operation_value"])
        account.movements += 1
        if movement["operation_type"] != WITHDRAW:
            account.deposits += 1
            account.deposited += value
        elif movement["operation_value"] > movement["account_balance"]:
            account.refused += 1
            account.refused_in_a_row += 1
        else:
            account.withdrawals += 1
            account.withdrawn += value
            account.refused_in_a_row = 0
        account.last_movement = movement["date"]
        account.last_balance = movement["account_balance"]

    def rows_before(self):
        """For each message: partition, offset, customer, and what was known just before it."""
        return [(*place, *before) for place, before in sorted(self.before.items())]

    def state(self):
        """The rows of `account_state`, by customer."""
        return [(customer, *vars(account).values()) for customer, account in sorted(self.by_customer.items())]
