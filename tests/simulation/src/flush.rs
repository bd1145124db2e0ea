//! Everything that was ever sent, once more, after all is over: late messages change nothing.

use crate::{
    agenda::SECOND,
    broker::{Letter, Queue},
    participant::number_of,
    world::{Happening, World},
};
use contracts::participant_of;

impl World {
    pub fn flush(&mut self) {
        if self.violation.is_some() {
            return;
        }
        self.tell_all(|| "every command once more".into());
        let before: Vec<_> = self.store.rows().map(|(_, row)| row.revision).collect();
        let mut at = self.now;
        let commands: Vec<_> = self.sent.values().cloned().collect();
        for command in commands {
            let queue = Queue::Commands(number_of(participant_of(&command.kind)));
            at += self.random.between(0, SECOND);
            let letter = Letter::Command(command, 0);
            let epoch = self.broker.epoch;
            self.enter(at, Happening::Arrive { queue, letter, epoch, safe_at: at });
        }
        // What happens here on purpose does not count as having happened by chance.
        let tally = self.tally.clone();
        self.run();
        self.tally = tally;
        let after: Vec<_> = self.store.rows().map(|(_, row)| row.revision).collect();
        if before != after {
            self.violate(None, "a late message moved a saga that had ended");
        }
        self.check_rest();
    }
}
