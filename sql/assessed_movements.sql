-- The business rules: for each movement, which of them apply. A rule that looks at one movement is changed here alone.
--
-- A comparison with NULL is neither true nor false, so where nothing is known of the account, coalesce says that
-- the rule does not apply.
SELECT
  m.*,

  -- A withdrawal larger than the balance. It needs nothing of the account.
  m.operation_type = 1 AND m.operation_value > m.account_balance AS is_unavailable_balance,

  -- Premium customers with a score of 300 or more are offered a personal loan.
  coalesce(m.account_type = 'premium' AND m.credit_score >= 300, false) AS is_loan_candidate,

  -- Customers of 30 or older, or with a score of 200 or less, are offered a renegotiation of their debt.
  coalesce(m.age >= 30, false) OR coalesce(m.credit_score <= 200, false) AS is_renegotiation_candidate
FROM enriched_movements m
