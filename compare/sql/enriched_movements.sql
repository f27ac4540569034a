-- Every movement with its customer's account; a customer without one stays, with NULLs.
SELECT
  b.kafka_topic,
  b.kafka_partition,
  b.kafka_offset,
  b.kafka_timestamp,
  b.customer,
  b.agency,
  b.operation_value,
  b.operation_type,
  b.date,
  b.account_balance,
  a.name,
  a.age,
  a.account_type,
  a.credit_score
FROM batch b
LEFT JOIN accounts a ON a.customer_id = b.customer
