//! What the environment says about traces, in OpenTelemetry's own variables. The exporter reads
//! those of the collector itself: the endpoint and `OTEL_EXPORTER_OTLP_HEADERS`; and
//! `OTEL_RESOURCE_ATTRIBUTES`.

use super::Context;
use std::{env, str::FromStr, time::Duration};

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];

/// Why nothing is exported though an endpoint is set.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{variable} is {value:?}, and only http/protobuf is spoken")]
    Protocol { variable: &'static str, value: String },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    sampler: Sampler,
    /// Spans that may wait to be sent; more than that are dropped.
    pub(super) queue: usize,
    /// Spans in one request.
    pub(super) batch: usize,
    /// The longest that a span waits for others.
    pub(super) delay: Duration,
    /// For one request.
    pub(super) timeout: Duration,
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
        let off = says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none");
        if off || ENDPOINTS.into_iter().all(|name| get(name).is_none()) {
            return Ok(None);
        }
        for variable in PROTOCOLS {
            match get(variable) {
                Some(value) if value.trim() != "http/protobuf" => {
                    return Err(Error::Protocol { variable, value });
                }
                Some(_) => break,
                None => {}
            }
        }
        let number = |name: &'static str, default: u64| number(name, get(name), default);
        let batch = number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1024);
        let timeout = match get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") {
            Some(_) => "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            None => "OTEL_EXPORTER_OTLP_TIMEOUT",
        };
        Ok(Some(Settings {
            sampler: Sampler::read(&get),
            queue: usize::try_from(number("OTEL_BSP_MAX_QUEUE_SIZE", 16_384)).unwrap_or(usize::MAX),
            batch: usize::try_from(batch).unwrap_or(usize::MAX),
            delay: Duration::from_millis(number("OTEL_BSP_SCHEDULE_DELAY", 1_000)),
            timeout: Duration::from_millis(number(timeout, 10_000)),
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
