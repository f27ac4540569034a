-- The new rows of the state table `account_state`: for each customer of the batch, the state after the last movement.
--
-- A state view has one row for each key that occurs in the batch. Its columns are the columns of the table, so they are
-- written out one by one, with names and types that stay.
SELECT
  h.customer,
  h.movements,
  h.deposits,
  h.deposited,
  h.withdrawals,
  h.withdrawn,
  h.refused,
  h.refused_in_a_row,
  h.date AS last_movement,
  h.account_balance AS last_balance
FROM (
  SELECT
    a.*,
    row_number() OVER (
      PARTITION BY a.customer ORDER BY a.kafka_topic DESC, a.kafka_partition DESC, a.kafka_offset DESC
    ) AS number_from_the_end
  FROM account_history a
) h
WHERE h.number_from_the_end = 1
