-- One row for each movement, with what it is classified as and how the bank reacts. No other view reads this one,
-- so it is an output: its rows are appended to the table `classified_movements`.
--
-- concat_ws joins what is not NULL: a CASE without ELSE is NULL where its rule does not apply. Several reactions to
-- one movement are joined by '/', in the order of the rules. If there is none, nullif turns '' into NULL.
SELECT
  -- The place of the message in Kafka: together, these columns identify a row for good.
  m.kafka_topic,
  m.kafka_partition,
  m.kafka_offset,
  m.customer,
  m.name,
  m.agency,
  m.operation_type,
  m.operation_value,
  m.account_balance,
  m.date,
  nullif(concat_ws('/',
    CASE WHEN m.is_unavailable_balance THEN 'withdrawal' END,
    CASE WHEN m.is_loan_candidate THEN 'loan' END,
    CASE WHEN m.is_renegotiation_candidate THEN 'renegotiation' END
  ), '') AS movement,
  nullif(concat_ws('/',
    CASE WHEN m.is_unavailable_balance THEN 'unavailable balance' END,
    CASE WHEN m.is_loan_candidate THEN 'personal loan campaign' END,
    CASE WHEN m.is_renegotiation_candidate THEN 'debt renegotiation' END
  ), '') AS reaction,
  -- What was known of the customer just before this movement (see account_history.sql): how many movements, how many
  -- withdrawals were refused in a row, when the last movement was, and the balance in it.
  m.movements - 1 AS movements_before,
  m.refused_in_a_row_before,
  m.previous_movement,
  m.previous_balance
FROM account_history m
