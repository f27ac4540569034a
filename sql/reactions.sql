-- One row for each reaction to a movement. The systems that call, write or block work through these rows. A movement
-- with two reactions has two rows here; one without a reaction has none. No other view reads this one, so it is an output.
--
-- UNION ALL puts the rows of its parts together as they are; UNION alone would search for equal ones.
SELECT m.kafka_topic, m.kafka_partition, m.kafka_offset, m.customer, m.date, 'withdrawal' AS movement,
  'unavailable balance' AS reaction
FROM assessed_movements m
WHERE m.is_unavailable_balance

UNION ALL

SELECT m.kafka_topic, m.kafka_partition, m.kafka_offset, m.customer, m.date, 'loan' AS movement,
  'personal loan campaign' AS reaction
FROM assessed_movements m
WHERE m.is_loan_candidate

UNION ALL

SELECT m.kafka_topic, m.kafka_partition, m.kafka_offset, m.customer, m.date, 'renegotiation' AS movement,
  'debt renegotiation' AS reaction
FROM assessed_movements m
WHERE m.is_renegotiation_candidate
