//! Texts that the migrations of several services repeat.

use std::path::Path;

#[test]
fn every_participant_has_the_same_inbox_outbox_and_seen_events() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    for service in ["order", "inventory", "payment", "notification", "shipping", "analytics"] {
        let mut files: Vec<_> = std::fs::read_dir(root.join(service))
            .unwrap_or_else(|error| panic!("migrations/{service}: {error}"))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let first = std::fs::read_to_string(&files[0]).unwrap();
        assert!(first.contains(store::PARTICIPANT_SQL), "{}", files[0].display());
    }
}

#[test]
fn every_subscriber_that_asks_remembers_how_far_in_the_same_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    for service in ["inventory", "analytics"] {
        let file = root.join(service).join("0003_retold.sql");
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, store::RETOLD_SQL, "{}", file.display());
    }
}
