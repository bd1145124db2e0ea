//! Everything that was ever sent, once more, after all is over: late messages change nothing.

use crate::{
    agenda::SECOND,
    broker::{Letter, Queue},
    participant::number_of,
    world::World,
};
use contracts::participant_of;

impl World {
    pub fn flush(&mut self) {
        if self.violation.is_some() {
            return;
        }
        self.tell_all(|| "every command once more".into());
        let before: Vec<_> = self.store.rows().map(|(_, row)| row.revision).collect();
        let commands: Vec<_> = self.sent.values().cloned().collect();
        for command in commands {
            let queue = Queue::Commands(number_of(participant_of(&command.kind)));
            self.now += self.random.between(0, SECOND);
            self.send(queue, Letter::Command(command, 0));
        }
        self.run();
        let after: Vec<_> = self.store.rows().map(|(_, row)| row.revision).collect();
        if before != after {
            self.violate(None, "a late message moved a saga that had ended");
        }
        self.check_rest();
    }
}
