"""The hotel of docs/writing-a-saga.md in another language: the message contract, nothing else.

    pip install pika;  AMQP_URL=amqp://… python docs/examples/hotel.py
"""
import json, os, time, pika

WORK = {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": 1000,
        "x-dead-letter-exchange": "saga.dead-letters",
        "x-dead-letter-routing-key": "hotel.dead-letters",
        "x-dead-letter-strategy": "at-least-once"}
DEAD = {"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": 2**31 - 1}

# A real participant keeps both in its database and changes them in one transaction.
inbox, rooms = {}, {"101": None, "102": None}


def handle(kind, command):
    """(outcome, body): what is done, or why not."""
    if kind == "hotel.hold-room":
        if rooms.get(command["room"], "") is not None:
            return "refused", f"room {command['room']} is not free"
        rooms[command["room"]] = command["trip"]
    elif kind == "hotel.free-room":
        for room, trip in rooms.items():
            if trip == command["trip"]:
                rooms[room] = None
    return "done", None


def answer(saga, step, leg, kind, command):
    """Inbox and barrier: every leg once, and no action after its compensation."""
    own, action = (saga, step, leg), (saga, step, "action")
    if own not in inbox:
        if leg == "compensation" and inbox.get(action, ("refused",))[0] == "refused":
            inbox.setdefault(action, ("refused", {"error": "compensated before it was done"}))
            inbox[own] = ("done", None)
        else:
            inbox[own] = handle(kind, command)
    return inbox[own]


def on_command(channel, delivery, told, body):
    if told.type not in ("hotel.hold-room", "hotel.free-room", "hotel.take-room"):
        return channel.basic_nack(delivery.delivery_tag, requeue=False)  # to hotel.dead-letters
    about = told.headers
    outcome, reply = answer(told.correlation_id, about["saga-step"], about["saga-leg"],
                            told.type, json.loads(body))
    headers = {name: about[name] for name in ("schema-version", "saga-definition", "saga-step",
                                              "saga-leg", "saga-attempt")}
    channel.basic_publish(  # returns once it is confirmed, raises when it is not routed
        "saga.replies", "orchestrator.replies", json.dumps(reply), mandatory=True,
        properties=pika.BasicProperties(
            content_type="application/json", delivery_mode=2, type=told.type, app_id="hotel",
            message_id=f"{told.message_id}/reply", correlation_id=told.correlation_id,
            timestamp=int(time.time()), headers={**headers, "outcome": outcome}))
    channel.basic_ack(delivery.delivery_tag)  # only now


channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.confirm_delivery()
channel.basic_qos(prefetch_count=50)
for queue, exchange, arguments in [("hotel.dead-letters", "saga.dead-letters", DEAD),
                                   ("hotel.commands", "saga.commands", WORK)]:
    channel.exchange_declare(exchange, "direct", durable=True)
    channel.queue_declare(queue, durable=True, arguments=arguments)
    channel.queue_bind(queue, exchange, queue)
channel.basic_consume("hotel.commands", on_command)
channel.start_consuming()
