"""The embedded pair: a Kafka-protocol broker and the ClickHouse engine as child processes on loopback.

`children.start_broker` and `children.start_store` are what `qorgan up`, the demo and the tests use;
`broker.run_broker` and `store.run_store` are the commands `qorgan broker` and `qorgan store`.
"""
