//! The operator's console: the files of `orchestrator/console`, embedded and served as they are.
//! They speak to the same API as any other client; nothing is made here.

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use runtime::http::Problem;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Scripts, styles and data come from the orchestrator alone; nobody frames the console.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal: $kind:expr),* $(,)?) => {
        &[$(($name, $kind, include_str!(concat!("../console/", $name)))),*]
    };
}

/// Name, type, text.
const FILES: &[(&str, &str, &str)] = files! {
    "index.html": HTML,
    "style.css": STYLE,
    "drawing.css": STYLE,
    "icon.svg": PICTURE,
    "advice.js": SCRIPT,
    "api.js": SCRIPT,
    "audit.js": SCRIPT,
    "chart.js": SCRIPT,
    "definitions.js": SCRIPT,
    "dialogue.js": SCRIPT,
    "dom.js": SCRIPT,
    "filters.js": SCRIPT,
    "letter.js": SCRIPT,
    "letters.js": SCRIPT,
    "live.js": SCRIPT,
    "main.js": SCRIPT,
    "overview.js": SCRIPT,
    "participants.js": SCRIPT,
    "revival.js": SCRIPT,
    "saga.js": SCRIPT,
    "sagas.js": SCRIPT,
    "theme.js": SCRIPT,
    "timeline.js": SCRIPT,
    "verbs.js": SCRIPT,
    "words.js": SCRIPT,
};

pub fn router() -> Router {
    Router::new().route("/", get(page)).route("/console/{file}", get(file))
}

async fn page(headers: HeaderMap) -> Response {
    answer("index.html", &headers)
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    answer(&name, &headers)
}

fn answer(name: &str, asked: &HeaderMap) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(file, ..)| *file == name) else {
        return Problem::not_found(format!("the console has no file {name}")).into_response();
    };
    let tag = tag(text);
    let fixed = [
        // Asked again every time, answered with 304 until another build is served.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let known = asked.get_all(header::IF_NONE_MATCH).iter().any(|value| matches(value, &tag));
    let tagged = [(header::ETAG, tag)];
    match known {
        true => (StatusCode::NOT_MODIFIED, fixed, tagged).into_response(),
        false => (fixed, tagged, [(header::CONTENT_TYPE, *kind)], *text).into_response(),
    }
}

/// The same for the same text, in any process of this build.
fn tag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

fn matches(asked: &HeaderValue, tag: &str) -> bool {
    let known = asked.to_str().unwrap_or_default().split(',').map(str::trim);
    known.map(|one| one.strip_prefix("W/").unwrap_or(one)).any(|one| one == "*" || one == tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs};

    /// All of it, so that nobody waits for it on a slow line.
    const BYTES: usize = 160 * 1024;
    const LINES: usize = 300;

    #[test]
    fn every_file_of_the_folder_is_served_and_none_is_missing() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/console");
        let there: BTreeSet<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let served: BTreeSet<String> = FILES.iter().map(|(name, ..)| (*name).to_owned()).collect();
        assert_eq!(there, served);
    }

    #[test]
    fn a_script_can_be_read_in_one_sitting_and_says_at_its_head_what_it_is() {
        for (name, kind, text) in FILES {
            let lines = text.lines().count();
            assert!(lines <= LINES, "{name} has {lines} lines, more than {LINES}");
            assert!(*kind != SCRIPT || text.starts_with("// "), "{name} does not say what it is");
        }
        let bytes: usize = FILES.iter().map(|(_, _, text)| text.len()).sum();
        assert!(bytes <= BYTES, "the console has {bytes} bytes, more than {BYTES}");
    }

    #[test]
    fn data_never_becomes_markup_or_code() {
        let ways = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
        ];
        for (name, kind, text) in FILES.iter().filter(|(_, kind, _)| *kind != STYLE) {
            for way in ways {
                assert!(!text.contains(way), "{name} uses {way}");
            }
            let inline = text.contains(" style=") || text.contains(" onclick=");
            assert!(*kind != HTML || !inline, "{name} has something inline");
        }
    }

    #[test]
    fn a_file_that_has_not_changed_is_not_sent_again() {
        let first = answer("main.js", &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let mut asked = HeaderMap::new();
        asked.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        let second = answer("main.js", &asked);
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(second.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
        assert_eq!(answer("style.css", &asked).status(), StatusCode::OK);
        assert_eq!(answer("../Cargo.toml", &asked).status(), StatusCode::NOT_FOUND);
    }
}
