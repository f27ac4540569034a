-- Every movement of the batch, with its account as it was just before the movement and as it is just after.
--
-- This is the pattern for state: `account_state` (see state_tables in config.yaml) holds one row for each customer, as
-- it was before this batch. What the batch's own movements add comes from window functions: PARTITION BY the key of
-- the state, ORDER BY where the messages stand in Kafka, and a frame that ends at the movement itself. So ten movements
-- of a customer in one batch give the same rows as ten batches of one.
--
-- Amounts are added as DECIMAL: a sum of doubles depends on the order it is added in.
WITH
  counted AS (
    SELECT
      m.*,
      -- The state before the batch; NULL in a column of `s` where the customer is new.
      coalesce(s.refused, 0) AS refused_before_batch,
      coalesce(s.refused, 0) - coalesce(s.refused_in_a_row, 0) AS refused_at_start,

      coalesce(s.movements, 0) + count(*) OVER so_far AS movements,
      coalesce(s.deposits, 0) + count(CASE WHEN m.is_deposit THEN 1 END) OVER so_far AS deposits,
      coalesce(s.withdrawals, 0) + count(CASE WHEN m.is_withdrawal THEN 1 END) OVER so_far AS withdrawals,
      coalesce(s.refused, 0) + count(CASE WHEN m.is_unavailable_balance THEN 1 END) OVER so_far AS refused,
      CAST(coalesce(s.deposited, 0) + coalesce(sum(CASE WHEN m.is_deposit THEN m.amount END) OVER so_far, 0)
        AS DECIMAL(38, 2)) AS deposited,
      CAST(coalesce(s.withdrawn, 0) + coalesce(sum(CASE WHEN m.is_withdrawal THEN m.amount END) OVER so_far, 0)
        AS DECIMAL(38, 2)) AS withdrawn,

      -- Values of the previous movement: from this batch, or else from the state.
      coalesce(lag(m.date) OVER in_order, s.last_movement) AS previous_movement,
      coalesce(lag(m.account_balance) OVER in_order, s.last_balance) AS previous_balance
    FROM (
      SELECT
        a.*,
        a.operation_type = 0 AS is_deposit,
        a.operation_type = 1 AND NOT a.is_unavailable_balance AS is_withdrawal,
        CAST(a.operation_value AS DECIMAL(38, 2)) AS amount
      FROM assessed_movements a
    ) m
    LEFT JOIN account_state s ON s.customer = m.customer
    WINDOW
      in_order AS (PARTITION BY m.customer ORDER BY m.kafka_topic, m.kafka_partition, m.kafka_offset),
      so_far AS (
        PARTITION BY m.customer ORDER BY m.kafka_topic, m.kafka_partition, m.kafka_offset
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
      )
  )
SELECT
  c.*,
  -- Withdrawals refused since the last successful one: all refused so far, minus those refused up to that one.
  c.refused - coalesce(max(c.refused_when_made) OVER so_far, c.refused_at_start) AS refused_in_a_row,
  coalesce(lag(c.refused) OVER in_order, c.refused_before_batch)
    - coalesce(max(c.refused_when_made) OVER before, c.refused_at_start) AS refused_in_a_row_before
FROM (
  SELECT counted.*, CASE WHEN counted.is_withdrawal THEN counted.refused END AS refused_when_made FROM counted
) c
WINDOW
  in_order AS (PARTITION BY c.customer ORDER BY c.kafka_topic, c.kafka_partition, c.kafka_offset),
  before AS (
    PARTITION BY c.customer ORDER BY c.kafka_topic, c.kafka_partition, c.kafka_offset
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ),
  so_far AS (
    PARTITION BY c.customer ORDER BY c.kafka_topic, c.kafka_partition, c.kafka_offset
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  )
