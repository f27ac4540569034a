-- One row of 13 columns for each movement: what it is classified as, and how the bank reacts.
SELECT
  m.kafka_partition,
  m.kafka_offset,
  m.kafka_timestamp,
  m.customer,
  m.agency,
  m.operation_value,
  m.operation_type,
  m.date,
  m.account_balance,
  m.name,
  m.account_type,
  nullif(concat_ws('/',
    CASE WHEN m.is_unavailable_balance THEN 'withdrawal' END,
    CASE WHEN m.is_loan_candidate THEN 'loan' END,
    CASE WHEN m.is_renegotiation_candidate THEN 'renegotiation' END
  ), '') AS movement,
  nullif(concat_ws('/',
    CASE WHEN m.is_unavailable_balance THEN 'unavailable balance' END,
    CASE WHEN m.is_loan_candidate THEN 'personal loan campaign' END,
    CASE WHEN m.is_renegotiation_candidate THEN 'debt renegotiation' END
  ), '') AS reaction
FROM assessed_movements m
