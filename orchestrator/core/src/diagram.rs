//! A plan as a Mermaid flow chart: forward along the top, compensations as dotted arrows.

use crate::{Plan, StepKind};
use std::fmt::Write;

/// The plan as Mermaid text.
pub fn mermaid(plan: &Plan) -> String {
    let mut text = String::from("flowchart LR\n  start([start])\n");
    let mut before = vec!["start".to_owned()];
    for stage in plan.stages() {
        let mut here = Vec::new();
        for index in stage {
            let step = plan.step(index);
            let node = format!("s{}", index.get());
            let (open, close) = match step.kind {
                StepKind::Pivot => ("{{", "}}"),
                StepKind::ReadOnly => ("[/", "/]"),
                StepKind::Compensatable | StepKind::Retriable => ("[", "]"),
            };
            let label = format!("{}<br/><i>{}</i>", step.name, step.action.command);
            push(&mut text, format_args!("  {node}{open}\"{label}\"{close}"));
            for from in &before {
                push(&mut text, format_args!("  {from} --> {node}"));
            }
            if let Some(undo) = &step.compensation {
                push(&mut text, format_args!("  {node} -. {} .-> undone", undo.command));
            }
            here.push(node);
        }
        before = here;
    }
    push(&mut text, format_args!("  completed([completed])"));
    for from in &before {
        push(&mut text, format_args!("  {from} --> completed"));
    }
    push(&mut text, format_args!("  undone([compensated])"));
    text
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}
