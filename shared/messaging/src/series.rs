//! Every series of the messaging, which each process with a connection writes.

use runtime::series::Series;

pub const SERIES: &[Series] = &[
    Series::counter(
        "broker_reconnects_total",
        &["connection"],
        "Connections to RabbitMQ that were lost and are made anew.",
    ),
    Series::counter(
        "messages_consumed_total",
        &["queue"],
        "Messages taken from a queue, acknowledged or not.",
    ),
    Series::counter(
        "messages_published_total",
        &["key"],
        "Messages that RabbitMQ has confirmed, by routing key.",
    ),
    Series::counter(
        "messages_unroutable_total",
        &["key"],
        "Messages that RabbitMQ returned because no queue takes their routing key.",
    ),
    Series::histogram(
        "publish_confirm_seconds",
        &[],
        "From publishing a batch to the confirm of its last message.",
    ),
    Series::histogram(
        "queue_wait_seconds",
        &["queue"],
        "From a message's sending to its being taken from the queue for handling, by both sides' clocks; not of commands that were in a retry queue.",
    ),
];
