-- Every movement of the batch, with what is known of its customer's account.
--
-- `batch` holds the messages that have just arrived: the fields of schemas/customer.avsc, and where each message
-- stood in Kafka. `accounts` is a keyed reference table (see reference_tables in config.yaml): of its rows, only
-- those of customers in this batch are here.
--
-- LEFT JOIN, so a movement of a customer without an account stays: its name, age, account_type and credit_score
-- are NULL then. The table has one row for each key, so no movement is doubled.
SELECT
  b.kafka_topic,
  b.kafka_partition,
  b.kafka_offset,
  b.customer,
  b.agency,
  b.operation_type,
  b.operation_value,
  b.account_balance,
  b.date,
  a.name,
  a.age,
  a.account_type,
  a.credit_score
FROM batch b
LEFT JOIN accounts a ON a.customer_id = b.customer
