//! What the environment says about traces, in OpenTelemetry's own variables.

use super::Context;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use std::{env, str::FromStr, time::Duration};
use uuid::Uuid;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];

/// Why nothing is exported though an endpoint is set.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{variable} is {value:?}, and only http/protobuf is spoken")]
    Protocol { variable: &'static str, value: String },
    #[error("{0} is not an http or https URL")]
    Endpoint(&'static str),
    #[error("{0} is not a list of name=value that headers can be made of")]
    Headers(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    sampler: Sampler,
    pub(super) collector: Collector,
    /// Spans that may wait to be sent; more than that are dropped.
    pub(super) queue: usize,
    /// Spans in one request.
    pub(super) batch: usize,
    /// The longest that a span waits for others.
    pub(super) delay: Duration,
}

/// Who takes the spans.
#[derive(Clone, PartialEq)]
pub(super) struct Collector {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// For one request.
    pub(super) timeout: Duration,
}

/// Without what may be a key.
impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let port = self.url.port_or_known_default().unwrap_or_default();
        write!(f, "{}:{port}", self.url.host_str().unwrap_or_default())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Sampler {
    /// Whether a trace that was begun elsewhere is recorded if it is recorded there.
    by_parent: bool,
    /// Of the others, from 0 to 1.
    ratio: f64,
}

impl Settings {
    /// `None` when traces are off.
    pub(super) fn from_env() -> Result<Option<Settings>, Error> {
        Settings::read(|name| env::var(name).ok().filter(|value| !value.trim().is_empty()))
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> Result<Option<Settings>, Error> {
        let says = |name: &str, word: &str| {
            get(name).is_some_and(|value| value.trim().eq_ignore_ascii_case(word))
        };
        if says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none") {
            return Ok(None);
        }
        let Some(url) = endpoint(&get)? else { return Ok(None) };
        if let Some((variable, value)) = first(PROTOCOLS, &get)
            && value.trim() != "http/protobuf"
        {
            return Err(Error::Protocol { variable, value });
        }
        let headers = match first(HEADERS, &get) {
            Some((variable, text)) => headers(&text).ok_or(Error::Headers(variable))?,
            None => HeaderMap::new(),
        };
        let (timeout, given) = first(TIMEOUTS, &get).unzip();
        let timeout = number(timeout.unwrap_or_default(), given, 10_000);
        let number = |name: &'static str, default: u64| number(name, get(name), default);
        let size = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Some(Settings {
            sampler: Sampler::read(&get),
            collector: Collector { url, headers, timeout: Duration::from_millis(timeout) },
            queue: size(number("OTEL_BSP_MAX_QUEUE_SIZE", 16_384)),
            batch: size(number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1024)),
            delay: Duration::from_millis(number("OTEL_BSP_SCHEDULE_DELAY", 1_000)),
        }))
    }

    /// Whether the trace is recorded here.
    pub(super) fn samples(&self, trace: u128, parent: Option<Context>) -> bool {
        match parent {
            Some(parent) if self.sampler.by_parent => parent.sampled,
            _ => self.sampler.takes(trace),
        }
    }
}

impl Sampler {
    fn read(get: &impl Fn(&str) -> Option<String>) -> Sampler {
        const DEFAULT: Sampler = Sampler { by_parent: true, ratio: 1.0 };
        let Some(name) = get("OTEL_TRACES_SAMPLER") else { return DEFAULT };
        let ratio = || {
            let text = get("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|| "1".to_owned());
            let ratio = f64::from_str(text.trim()).ok();
            ratio.filter(|ratio| (0.0..=1.0).contains(ratio)).unwrap_or_else(|| {
                tracing::warn!(
                    value = text,
                    "OTEL_TRACES_SAMPLER_ARG is no ratio from 0 to 1: taking 1"
                );
                1.0
            })
        };
        let (by_parent, ratio) = match name.trim() {
            "always_on" => (false, 1.0),
            "always_off" => (false, 0.0),
            "traceidratio" => (false, ratio()),
            "parentbased_always_on" => (true, 1.0),
            "parentbased_always_off" => (true, 0.0),
            "parentbased_traceidratio" => (true, ratio()),
            _ => {
                tracing::warn!(
                    value = name,
                    "OTEL_TRACES_SAMPLER is not known here: taking parentbased_always_on"
                );
                return DEFAULT;
            }
        };
        Sampler { by_parent, ratio }
    }

    /// By the trace's id, so that all who sample at one ratio sample the same traces.
    fn takes(self, trace: u128) -> bool {
        if self.ratio >= 1.0 {
            return true;
        }
        let bound = (self.ratio * (1_u64 << 63) as f64) as u64;
        (trace as u64) >> 1 < bound
    }
}

/// What spans say of their process.
pub(super) fn resource(service: &str) -> Vec<(String, String)> {
    let given = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let name = given("OTEL_SERVICE_NAME").unwrap_or_else(|| service.to_owned());
    let own = [
        ("service.name", name),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", Uuid::new_v4().to_string()),
    ];
    let mut resource: Vec<_> =
        own.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let more = given("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    for (key, value) in pairs(&more).into_iter().flatten() {
        if !resource.iter().any(|(known, _)| *known == key) {
            resource.push((key, value));
        }
    }
    resource
}

fn endpoint(get: &impl Fn(&str) -> Option<String>) -> Result<Option<Url>, Error> {
    let (variable, url) = match (get(TRACES_ENDPOINT), get(ENDPOINT)) {
        (Some(whole), _) => (TRACES_ENDPOINT, whole),
        (None, Some(base)) => {
            (ENDPOINT, format!("{}/v1/traces", base.trim().trim_end_matches('/')))
        }
        (None, None) => return Ok(None),
    };
    let url = Url::parse(url.trim()).ok();
    let url = url.filter(|url| ["http", "https"].contains(&url.scheme()));
    url.map(Some).ok_or(Error::Endpoint(variable))
}

/// The first of two variables that is set.
fn first(
    names: [&'static str; 2],
    get: &impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    names.into_iter().find_map(|name| Some((name, get(name)?)))
}

fn headers(text: &str) -> Option<HeaderMap> {
    let header = |(name, value): (String, String)| {
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    };
    pairs(text)?.into_iter().map(header).collect()
}

/// `name=value,name=value`, values with `%20` and the like.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().to_owned(), decoded(value.trim())?))
        })
        .collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

fn number(name: &'static str, text: Option<String>, default: u64) -> u64 {
    let Some(text) = text else { return default };
    match text.trim().parse() {
        Ok(number) if number > 0 => number,
        _ => {
            tracing::warn!(name, value = text, default, "is no whole number above 0: ignored");
            default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, Error> {
        Settings::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const ON: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    #[test]
    fn without_an_endpoint_or_when_told_so_there_are_no_traces() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[ON, ("OTEL_SDK_DISABLED", "True")]).unwrap(), None);
        assert_eq!(read(&[ON, ("OTEL_TRACES_EXPORTER", "none")]).unwrap(), None);
        assert!(read(&[ON]).unwrap().is_some());
    }

    #[test]
    fn a_protocol_that_is_not_spoken_is_an_error_that_names_its_variable() {
        let error = read(&[ON, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap_err();
        assert!(error.to_string().contains("OTEL_EXPORTER_OTLP_PROTOCOL"), "{error}");
        // The one for traces alone comes first.
        let own = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf");
        assert!(read(&[ON, own, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap().is_some());
    }

    #[test]
    fn the_address_is_the_collectors_and_its_key_is_decoded_and_never_shown() {
        let header = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c2VjcmV0, x-a = b");
        let settings = read(&[ON, header]).unwrap().unwrap();
        let Collector { url, headers, .. } = &settings.collector;
        assert_eq!(url.as_str(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(
            (&headers["authorization"], &headers["x-a"]),
            (&"Basic c2VjcmV0".parse().unwrap(), &"b".parse().unwrap())
        );
        assert!(!format!("{settings:?}").contains("c2VjcmV0"), "{settings:?}");
        let whole = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example/otlp");
        let settings = read(&[ON, whole]).unwrap().unwrap();
        assert_eq!(settings.collector.url.as_str(), "https://traces.example/otlp");
        for (name, wrong) in [
            (ENDPOINT, "localhost:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "nowhere"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "no pair"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%zz"),
        ] {
            let error = read(&[(name, wrong), ON]).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn samplers_take_what_they_are_told_to() {
        let parent = |sampled| Some(Context { trace: 1, span: 1, sampled });
        for (sampler, ratio, alone, below_sampled, below_unsampled) in [
            ("always_on", "", true, true, true),
            ("always_off", "", false, false, false),
            ("traceidratio", "0", false, false, false),
            ("parentbased_always_on", "", true, true, false),
            ("parentbased_always_off", "", false, true, false),
            ("parentbased_traceidratio", "0", false, true, false),
            ("parentbased_traceidratio", "much", true, true, false),
            ("something_else", "", true, true, false),
        ] {
            let mut variables = vec![ON, ("OTEL_TRACES_SAMPLER", sampler)];
            if !ratio.is_empty() {
                variables.push(("OTEL_TRACES_SAMPLER_ARG", ratio));
            }
            let settings = read(&variables).unwrap().unwrap();
            let taken = [None, parent(true), parent(false)].map(|above| settings.samples(1, above));
            assert_eq!(taken, [alone, below_sampled, below_unsampled], "{sampler} {ratio}");
        }
    }

    #[test]
    fn a_ratio_takes_about_so_many_traces() {
        let sampler = ("OTEL_TRACES_SAMPLER", "traceidratio");
        let settings = read(&[ON, sampler, ("OTEL_TRACES_SAMPLER_ARG", "0.25")]).unwrap().unwrap();
        let taken = (0..10_000).filter(|_| settings.samples(Context::fresh().trace, None)).count();
        assert!((2_000..3_000).contains(&taken), "{taken}");
    }
}
