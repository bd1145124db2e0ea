//! Processes that are killed in the middle of something, and started again.

use crate::case::{Case, Scene};
use anyhow::Result;

/// One death at each of these places. No attempt is spent on it: what was not acknowledged comes
/// again.
pub async fn at<'a, const N: usize>(scene: &'a Scene<'a>, places: [&str; N]) -> Result<Case<'a>> {
    let arms = places.map(|place| (place, scene.row.command, "kill"));
    let (case, switches) = Case::begin(scene, arms).await?;
    for (switch, place) in switches.iter().zip(places) {
        case.fired(switch, &format!("a death at {place}"), 1).await?;
    }
    Ok(case)
}
