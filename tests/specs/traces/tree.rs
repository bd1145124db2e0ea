//! A trace as text, the same for every run: what is below what, of whom, about which leg, and what
//! else led to it.

use super::collector::Span;
use anyhow::{Context as _, Result, bail, ensure};
use std::{collections::HashMap, fs, path::PathBuf};

const KINDS: [&str; 6] = ["?", "internal", "server", "client", "producer", "consumer"];

/// Fails where a span's parent is missing, or a span is there twice.
pub fn render(spans: &[Span]) -> Result<String> {
    let by_id: HashMap<&[u8], &Span> = spans.iter().map(|span| (&span.id[..], span)).collect();
    ensure!(by_id.len() == spans.len(), "{} spans have {} ids", spans.len(), by_id.len());
    let mut below: HashMap<&[u8], Vec<&Span>> = HashMap::new();
    let mut roots = Vec::new();
    for span in spans {
        match by_id.contains_key(&span.parent[..]) {
            true => below.entry(&span.parent).or_default().push(span),
            false => roots.push(span),
        }
    }
    let mut text = String::new();
    for root in &roots {
        write(&mut text, root, 0, &below, &by_id);
    }
    let [root] = roots[..] else { bail!("{} roots:\n{text}", roots.len()) };
    ensure!(root.parent.is_empty(), "the root has a parent elsewhere");
    Ok(text)
}

fn write(
    text: &mut String,
    span: &Span,
    depth: usize,
    below: &HashMap<&[u8], Vec<&Span>>,
    by_id: &HashMap<&[u8], &Span>,
) {
    let kind = usize::try_from(span.kind).ok().and_then(|kind| KINDS.get(kind)).unwrap_or(&"?");
    text.push_str(&"  ".repeat(depth));
    text.push_str(&format!("{} ({} {kind})", span.name, span.service));
    text.push_str(&about(span));
    for key in ["saga.phase", "saga.outcome", "saga.ending", "saga.cause", "saga.ignored"] {
        if !span.attribute(key).is_empty() {
            text.push_str(&format!(" {}", span.attribute(key)));
        }
    }
    if span.failed {
        text.push_str(&format!(" !{}", span.attribute("error.type")));
    }
    for (_, link) in &span.links {
        let linked = by_id
            .get(&link[..])
            .map_or("elsewhere".to_owned(), |linked| format!("{}{}", linked.name, about(linked)));
        text.push_str(&format!(" ~ {linked}"));
    }
    text.push('\n');
    let mut children = below.get(&span.id[..]).cloned().unwrap_or_default();
    // In the order of time; but several listen to one event at a time, and the bar of the whole
    // saga begins by the database's clock.
    let listeners = children.iter().all(|child| child.name.starts_with("process"));
    children.sort_by_key(|child| {
        let whole = child.name.starts_with("saga ");
        (whole, if listeners { 0 } else { child.began }, child.name.clone(), child.began)
    });
    for child in children {
        write(text, child, depth + 1, below, by_id);
    }
}

/// ` [reserve-stock action 1]`
fn about(span: &Span) -> String {
    let [step, leg, attempt] =
        ["saga.step", "saga.leg", "saga.attempt"].map(|key| span.attribute(key));
    match step.is_empty() {
        true => String::new(),
        false => format!(" [{step} {leg} {attempt}]"),
    }
}

/// Against the file of that name beside this one; `UPDATE_GOLDENS=1` writes it instead.
pub fn compare(name: &str, tree: &str) -> Result<()> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("specs/traces/{name}.txt"));
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected == tree {
        return Ok(());
    }
    let all_expected: Vec<_> = expected.lines().collect();
    let first = tree.lines().zip(all_expected.iter().copied().chain([""; 1]));
    let first = first.enumerate().find(|(_, (is, should))| is != should);
    let first = first.map(|(line, (is, should))| {
        format!("line {}\n  is        {is}\n  should be {should}", line + 1)
    });
    bail!("{}: the first difference is {first:?}; the whole of it is\n{tree}", path.display())
}

/// Writes what [`compare`] compares with.
pub fn update(name: &str, tree: &str) -> Result<()> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("specs/traces/{name}.txt"));
    fs::write(&path, tree).with_context(|| format!("cannot write {}", path.display()))
}
