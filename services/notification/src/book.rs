//! The service's own book: whom it can reach, what is being sent and what was. For any number of
//! orders in one statement.

use crate::message::{Customer, Message};
use contracts::SagaId;
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// Those of the customers that are known.
pub async fn customers(
    sql: &mut PgConnection,
    ids: &[&str],
) -> sqlx::Result<HashMap<String, Customer>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        customer_id: String,
        #[sqlx(flatten)]
        customer: Customer,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT customer_id, email, phone, device FROM customer WHERE customer_id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(sql)
    .await?;
    Ok(rows.into_iter().map(|row| (row.customer_id, row.customer)).collect())
}

/// Before they are sent. Messages that are there already stay as they are.
pub async fn sending(sql: &mut PgConnection, messages: &[(SagaId, &Message)]) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO notification (order_id, channel, recipient, subject, body)
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
         ON CONFLICT (order_id, channel) DO NOTHING",
    )
    .bind(messages.iter().map(|(order, _)| order.0).collect::<Vec<_>>())
    .bind(messages.iter().map(|(_, it)| it.channel.as_str()).collect::<Vec<_>>())
    .bind(messages.iter().map(|(_, it)| it.recipient.as_str()).collect::<Vec<_>>())
    .bind(messages.iter().map(|(_, it)| it.subject.as_str()).collect::<Vec<_>>())
    .bind(messages.iter().map(|(_, it)| it.body.as_str()).collect::<Vec<_>>())
    .execute(sql)
    .await
    .map(drop)
}

pub async fn sent(sql: &mut PgConnection, orders: &[SagaId]) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE notification SET status = 'sent', sent_at = now()
         WHERE order_id = ANY($1) AND status = 'sending'",
    )
    .bind(orders.iter().map(|order| order.0).collect::<Vec<Uuid>>())
    .execute(sql)
    .await
    .map(drop)
}
