//! The W3C trace context that travels with messages, as far as a log line needs it.

/// The trace of a `traceparent`, `00-<trace>-<span>-<flags>`: 32 hexadecimal digits, not all 0.
pub fn trace_id(traceparent: &str) -> Option<&str> {
    let trace = traceparent.split('-').nth(1)?;
    let hexadecimal = trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hexadecimal && trace.bytes().any(|byte| byte != b'0')).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::trace_id;

    #[test]
    fn only_a_well_formed_trace_is_told() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(trace_id(&format!("00-{trace}-b7ad6b7169203331-01")), Some(trace));
        for wrong in ["", "00", "00-xyz-1-01", "00-00000000000000000000000000000000-1-01"] {
            assert_eq!(trace_id(wrong), None, "{wrong:?}");
        }
    }
}
