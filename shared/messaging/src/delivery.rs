use crate::Incoming;
use tokio::sync::mpsc::UnboundedSender;

/// A message, and the duty to say what became of it.
#[derive(Debug)]
pub struct Delivery {
    pub incoming: Incoming,
    pub receipt: Receipt,
}

/// Tells the broker what became of a delivery. None of this ever fails: when the connection is
/// gone, the broker hands the message out again, and whoever handles it must stand that anyhow.
///
/// Dropped unsettled (a panic, a cancelled task) it counts as a failed attempt: the message goes
/// back to its queue, and its delivery count up.
#[derive(Debug)]
pub struct Receipt {
    tag: u64,
    session: UnboundedSender<Settlement>,
    settled: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Settlement {
    Ack(u64),
    AckAll(Vec<u64>),
    HandBack(u64),
    Failed(u64),
}

impl Delivery {
    pub(crate) fn new(incoming: Incoming, tag: u64, session: UnboundedSender<Settlement>) -> Self {
        Delivery { incoming, receipt: Receipt { tag, session, settled: false } }
    }

    /// It is dealt with, and so are its effects.
    pub async fn ack(self) {
        self.receipt.ack();
    }

    /// As [`Self::ack`] for each, in as few words to the broker as possible.
    pub async fn ack_all(deliveries: impl IntoIterator<Item = Delivery>) {
        Receipt::ack_all(deliveries.into_iter().map(|delivery| delivery.receipt));
    }

    /// Not touched: somebody else, or this process later, shall have it.
    pub async fn hand_back(self) {
        self.receipt.hand_back();
    }
}

impl Receipt {
    pub fn ack(self) {
        self.settle(Settlement::Ack);
    }

    pub fn ack_all(receipts: impl IntoIterator<Item = Receipt>) {
        let mut receipts = receipts.into_iter().peekable();
        // A batch may span a reconnect, and a tag means something in its own session only.
        while let Some(first) = receipts.next() {
            let session = first.session.clone();
            let mut tags = vec![first.silenced()];
            while let Some(next) = receipts.next_if(|next| next.session.same_channel(&session)) {
                tags.push(next.silenced());
            }
            tell(&session, Settlement::AckAll(tags));
        }
    }

    pub fn hand_back(self) {
        self.settle(Settlement::HandBack);
    }

    /// The tag, for a session that settles it itself.
    pub(crate) fn silenced(mut self) -> u64 {
        self.settled = true;
        self.tag
    }

    fn settle(mut self, how: impl FnOnce(u64) -> Settlement) {
        self.settled = true;
        tell(&self.session, how(self.tag));
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.settled {
            tell(&self.session, Settlement::Failed(self.tag));
        }
    }
}

fn tell(session: &UnboundedSender<Settlement>, settlement: Settlement) {
    if let Err(too_late) = session.send(settlement) {
        tracing::debug!(settlement = ?too_late.0, "connection gone; the broker will redeliver");
    }
}
