"""The business rule that ships, calculated a second time: from the sample files, with nothing of the program's."""

import csv
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
