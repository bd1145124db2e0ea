//! Many commands (or replies) for one queue in one message. The broker's work is per message, so
//! under load this is most of what a message costs.
//!
//! It is agreed on by binding: who reads packs binds its queue to `<key>.packed`, too, and a pack
//! that reaches no queue comes back and is sent again one by one. So a participant that knows
//! nothing of packs never sees one. A pack is unpacked where it arrives; nobody behind the consumer
//! knows how a command came, and each is answered, retried and buried by itself.

use crate::{Headers, Incoming, Outgoing, Properties, names::packs_of, outgoing::SENT_AT};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub(crate) const CONTENT_TYPE: &str = "application/vnd.saga.pack+json";
/// How many a pack holds. For people: the body tells.
const COUNT: &str = "pack-count";
/// Fewer than this are not worth it, and easier to read by themselves.
const FEWEST: usize = 4;
/// Of a pack's body; a message larger than this goes alone.
const MOST_BYTES: usize = 256 * 1024;
/// Who has taken no pack is asked again after this.
const AGAIN: Duration = Duration::from_secs(30);

/// Which messages of a send share one.
pub(crate) struct Packing {
    /// Commands in one message at most; below [`FEWEST`] nothing is packed.
    most: usize,
    /// Messages can be packed only under the login that they are sent with.
    login: String,
    /// Routing keys whose queue took no pack, and when.
    refused: Mutex<HashMap<String, Instant>>,
}

/// A message's place in its send, and the message as part of a pack.
type Encoded = (usize, Vec<u8>);

/// One message on the wire.
pub(crate) struct Parcel<'a> {
    pub(crate) message: Cow<'a, Outgoing>,
    /// Which messages of the send it holds.
    pub(crate) members: Vec<usize>,
}

impl Parcel<'_> {
    pub(crate) fn single(index: usize, message: &Outgoing) -> Parcel<'_> {
        Parcel { message: Cow::Borrowed(message), members: vec![index] }
    }

    pub(crate) fn is_pack(&self) -> bool {
        self.members.len() > 1
    }
}

impl Packing {
    pub(crate) fn new(most: usize, login: &str) -> Packing {
        Packing { most, login: login.to_owned(), refused: Mutex::default() }
    }

    /// Everything in as few messages as may be; those for one queue stay in their order.
    pub(crate) fn parcels<'a>(&self, messages: &[&'a Outgoing]) -> Vec<Parcel<'a>> {
        let single = |index: usize| Parcel::single(index, messages[index]);
        if self.most < FEWEST || messages.len() < FEWEST {
            return (0..messages.len()).map(single).collect();
        }
        let mut parcels = Vec::new();
        let mut groups: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for (index, message) in messages.iter().enumerate() {
            groups.entry((&message.exchange, &message.key)).or_default().push(index);
        }
        for ((exchange, key), group) in groups {
            // Nothing is encoded that goes by itself anyhow.
            if group.len() < FEWEST || packs_of(exchange, key).is_none() || self.has_refused(key) {
                parcels.extend(group.into_iter().map(single));
                continue;
            }
            let mut encoded = Vec::with_capacity(group.len());
            for index in group {
                match self.member(messages[index]) {
                    Some(member) => encoded.push((index, member)),
                    None => parcels.push(single(index)),
                }
            }
            for chunk in chunks(encoded, self.most) {
                match chunk.len() {
                    few if few < FEWEST => {
                        parcels.extend(chunk.iter().map(|(index, _)| single(*index)));
                    }
                    _ => parcels.push(pack(messages, chunk)),
                }
            }
        }
        parcels
    }

    /// No pack for this key for a while: its queue takes none.
    pub(crate) fn refused(&self, key: &str) {
        tracing::debug!(key, "takes no packs");
        self.lock().insert(key.to_owned(), Instant::now());
    }

    /// The message as part of a pack; `None` when it has to go by itself.
    fn member(&self, message: &Outgoing) -> Option<Vec<u8>> {
        let Properties { user_id, content_type, content_encoding, .. } = &message.properties;
        let own = user_id.as_ref().is_none_or(|user| *user == self.login);
        if !own || content_type.is_some() || content_encoding.is_some() {
            return None;
        }
        let body = serde_json::from_slice(&message.body).ok()?;
        let member = Member { properties: &message.properties, headers: &message.headers, body };
        serde_json::to_vec(&member).ok()
    }

    fn has_refused(&self, key: &str) -> bool {
        self.lock().get(key).is_some_and(|at| at.elapsed() < AGAIN)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Incoming {
    /// The messages in it: itself, unless it is a pack. A pack that cannot be read stays what it is.
    pub(crate) fn unpacked(self) -> Vec<Incoming> {
        if !self.is_pack() {
            return vec![self];
        }
        let Ok(members) = serde_json::from_slice::<Vec<Taken>>(&self.body) else {
            return vec![self];
        };
        let key = self.key.strip_suffix(".packed").unwrap_or(&self.key);
        let members = members.into_iter().map(|Taken { mut properties, mut headers, body }| {
            // What the broker vouches for, and what all of them share.
            properties.user_id.clone_from(&self.properties.user_id);
            properties.content_type = Some("application/json".to_owned());
            properties.app_id = properties.app_id.or_else(|| self.properties.app_id.clone());
            properties.timestamp = properties.timestamp.or(self.properties.timestamp);
            headers.take_broker_marks(&self.headers);
            if let Some(sent) = self.headers.int(SENT_AT) {
                headers.set(SENT_AT, sent);
            }
            Incoming {
                exchange: self.exchange.clone(),
                key: key.to_owned(),
                queue: self.queue.clone(),
                properties,
                headers,
                body: Box::<str>::from(body).into_boxed_bytes().into_vec(),
                delivery_count: self.delivery_count,
                redelivered: self.redelivered,
            }
        });
        members.collect()
    }

    pub(crate) fn is_pack(&self) -> bool {
        self.properties.content_type.as_deref() == Some(CONTENT_TYPE)
    }
}

#[derive(Serialize)]
struct Member<'a> {
    properties: &'a Properties,
    headers: &'a Headers,
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct Taken {
    properties: Properties,
    headers: Headers,
    body: Box<RawValue>,
}

/// In their order, of at most so many each and [`MOST_BYTES`] together.
fn chunks(group: Vec<Encoded>, most: usize) -> Vec<Vec<Encoded>> {
    let mut chunks: Vec<Vec<_>> = Vec::new();
    let mut bytes = 0;
    for (index, member) in group {
        bytes += member.len();
        match chunks.last_mut() {
            Some(chunk) if chunk.len() < most && bytes <= MOST_BYTES => chunk.push((index, member)),
            _ => {
                bytes = member.len();
                chunks.push(vec![(index, member)]);
            }
        }
    }
    chunks
}

/// A line for each, for whoever looks at it in the management UI.
fn pack<'a>(messages: &[&'a Outgoing], chunk: Vec<Encoded>) -> Parcel<'a> {
    let members: Vec<usize> = chunk.iter().map(|(index, _)| *index).collect();
    let first = messages[members[0]];
    let mut body = b"[\n".to_vec();
    for (place, (_, member)) in chunk.iter().enumerate() {
        body.extend_from_slice(if place == 0 { b"" } else { b",\n" });
        body.extend_from_slice(member);
    }
    body.extend_from_slice(b"\n]");
    let kind = first.properties.kind.as_deref();
    let alike = members.iter().all(|&index| messages[index].properties.kind.as_deref() == kind);
    let id = first.properties.message_id.as_deref().unwrap_or_default();
    let count = i64::try_from(members.len()).unwrap_or(i64::MAX);
    let properties = Properties {
        message_id: Some(format!("{id} +{}", count - 1)),
        kind: Some(if alike { kind.unwrap_or_default() } else { "pack" }.to_owned()),
        content_type: Some(CONTENT_TYPE.to_owned()),
        ..Properties::default()
    };
    let key = packs_of(&first.exchange, &first.key).unwrap_or_default();
    let headers = Headers::default().with(COUNT, count);
    let message = Outgoing::other(first.exchange.as_str(), key, properties, headers, body);
    Parcel { message: Cow::Owned(message), members }
}
