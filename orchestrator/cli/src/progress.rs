//! Progress of long work, on standard error and only on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar towards `all`.
pub fn bar(all: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(all).with_message(what);
    // A template that does not parse would leave the default one: no reason to fail.
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar
}
