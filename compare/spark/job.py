"""The same job in Spark, as its documentation recommends it: run with Spark's own Python, with options as JSON.

The views are the files that the other program runs, as temporary views. Into MySQL: `foreachBatch` and the JDBC writer,
with statements rewritten to many rows each. Into nothing: the `noop` sink; then the progress of its batches is printed
once all messages were read.
"""

import json
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql.avro.functions import from_avro
from pyspark.sql.functions import broadcast, col

ACCOUNTS_SCHEMA = "customer_id INT, name STRING, age INT, account_manager STRING, account_type STRING, credit_score INT"
VIEWS = ("enriched_movements", "assessed_movements", "classified_movements")


def session(options):
    return (
        SparkSession.builder.master(options["master"])
        .appName("compare")
        .config("spark.jars", options["jars"])
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.streaming.numRecentProgressUpdates", "10000")
        .getOrCreate()
    )


def classified(spark, options):
    messages = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", options["kafka"])
        .option("subscribe", options["topic"])
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", options["max_offsets_per_trigger"])
        .load()
    )
    movement = from_avro(col("value"), Path(options["schema"]).read_text(encoding="utf-8"), {"mode": "FAILFAST"})
    messages.select(
        col("topic").alias("kafka_topic"),
        col("partition").alias("kafka_partition"),
        col("offset").alias("kafka_offset"),
        col("timestamp").alias("kafka_timestamp"),
        movement.alias("movement"),
    ).select("kafka_topic", "kafka_partition", "kafka_offset", "kafka_timestamp", "movement.*").createOrReplaceTempView(
        "batch"
    )
    accounts = spark.read.csv(options["accounts"], header=True, schema=ACCOUNTS_SCHEMA).cache()
    broadcast(accounts).createOrReplaceTempView("accounts")
    for view in VIEWS:
        spark.sql(Path(options["views"], f"{view}.sql").read_text(encoding="utf-8")).createOrReplaceTempView(view)
    return spark.table(VIEWS[-1])


def write_rows(options):
    def write(rows, _):
        rows.write.format("jdbc").mode("append").options(**options["jdbc"]).save()

    return write


def report(query, total):
    """Prints the progress of all batches once this many messages were read."""
    while query.isActive:
        progress = query.recentProgress
        if sum(batch.numInputRows for batch in progress) >= total:
            for batch in progress:
                print(batch.json.replace("\n", " "), flush=True)
            break
        time.sleep(0.5)


def main():
    options = json.loads(sys.argv[1])
    spark = session(options)
    stream = classified(spark, options).writeStream.option("checkpointLocation", options["checkpoint"])
    stream = stream.trigger(processingTime="0 seconds")
    if options.get("jdbc"):
        query = stream.foreachBatch(write_rows(options)).start()
    else:
        query = stream.format("noop").start()
        report(query, options["total"])
    query.awaitTermination()


if __name__ == "__main__":
    main()
