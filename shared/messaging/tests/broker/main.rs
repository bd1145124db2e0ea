//! Against a real RabbitMQ: `AMQP_URL` (an administrator) and `RABBITMQ_MANAGEMENT_URL`. Every
//! test has a virtual host of its own.

mod consuming;
mod declaring;
mod failing;
mod packing;
mod publishing;
mod scratch;
