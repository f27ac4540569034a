-- The three rules: for each movement, which of them apply.
SELECT
  m.*,
  m.operation_type = 1 AND m.operation_value > m.account_balance AS is_unavailable_balance,
  coalesce(m.account_type = 'premium' AND m.credit_score >= 300, false) AS is_loan_candidate,
  coalesce(m.age >= 30, false) OR coalesce(m.credit_score <= 200, false) AS is_renegotiation_candidate
FROM enriched_movements m
