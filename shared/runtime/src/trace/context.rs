use std::{
    cell::Cell,
    fmt,
    hash::{BuildHasher as _, Hasher as _, RandomState},
};

/// Which trace, which span in it, and whether the trace is recorded: what `traceparent` says
/// (W3C Trace Context).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    /// Never 0.
    pub trace: u128,
    /// Never 0.
    pub span: u64,
    pub sampled: bool,
}

impl Context {
    /// `None` for what is no `traceparent`, as the standard wants: it is as if there were none.
    pub fn parse(text: &str) -> Option<Context> {
        let bytes = text.as_bytes();
        let hyphens = bytes.len() >= 55 && [2, 35, 52].into_iter().all(|at| bytes[at] == b'-');
        // Version 00 is exactly that long; a later one may have more to say.
        let version = text.get(0..2).filter(|_| hyphens).and_then(hex)?;
        let well_formed = match version {
            0 => bytes.len() == 55,
            0xff => false,
            _ => bytes.len() == 55 || bytes[55] == b'-',
        };
        let trace = text.get(3..35).filter(|_| well_formed).and_then(hex)?;
        let span = u64::try_from(hex(text.get(36..52)?)?).ok()?;
        let sampled = hex(text.get(53..55)?)? & 1 == 1;
        (trace != 0 && span != 0).then_some(Context { trace, span, sampled })
    }

    /// A trace of its own.
    pub(super) fn fresh() -> Context {
        let trace = u128::from(random()) << 64 | u128::from(random());
        Context { trace, span: random(), sampled: true }
    }

    /// Another span of the same trace.
    pub(super) fn next(self) -> Context {
        Context { span: random(), ..self }
    }

    /// The span below this one that `words` name. Whoever names it again means the same span: a
    /// message that is sent again after a crash is, and what follows from it has its parent.
    pub fn named(self, words: &[&str]) -> Context {
        // FNV-1a, then mixed: the same for ever and on every machine.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        self.trace.to_be_bytes().into_iter().chain(self.span.to_be_bytes()).for_each(&mut add);
        for word in words {
            word.bytes().for_each(&mut add);
            add(0);
        }
        Context { span: mixed(hash).max(1), ..self }
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Context { trace, span, sampled } = self;
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", u8::from(*sampled))
    }
}

/// Lower-case, as the standard wants it.
fn hex(text: &str) -> Option<u128> {
    text.bytes().try_fold(0, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// Never 0. Each thread counts from where the system's randomness put it.
fn random() -> u64 {
    thread_local!(static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish()));
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        mixed(next).max(1)
    })
}

fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_written_is_what_was_read() {
        let context = Context::parse(TEXT).unwrap();
        assert!(context.sampled);
        assert_eq!(context.to_string(), TEXT);
        let unsampled = TEXT.replace("-01", "-00");
        assert_eq!(Context::parse(&unsampled).unwrap().to_string(), unsampled);
    }

    #[test]
    fn what_the_standard_does_not_allow_is_no_context() {
        for wrong in [
            "",
            "garbage",
            &TEXT[..54],
            &format!("{TEXT}0"),
            &format!("{TEXT}-more"),
            &TEXT.replace("00-0a", "ff-0a"),
            &TEXT.replace("0af7", "0AF7"),
            &TEXT.replace('-', "_"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319ü-b7ad6b7169203331-01",
        ] {
            assert_eq!(Context::parse(wrong), None, "{wrong}");
        }
        let later = format!("{}-more", TEXT.replace("00-0a", "01-0a"));
        assert_eq!(Context::parse(&later), Context::parse(TEXT));
    }

    #[test]
    fn the_same_words_name_the_same_span_and_others_another() {
        let context = Context::parse(TEXT).unwrap();
        let a = context.named(&["inventory.commands", "1/reserve-stock/action/1"]);
        assert_eq!(a, context.named(&["inventory.commands", "1/reserve-stock/action/1"]));
        assert_eq!((a.trace, a.sampled), (context.trace, true));
        let other = context.named(&["inventory.commands1", "/reserve-stock/action/1"]);
        assert_ne!(a.span, other.span);
        assert_ne!(a.span, a.named(&["inventory.commands", "1/reserve-stock/action/1"]).span);
    }

    #[test]
    fn spans_of_their_own_do_not_meet() {
        let made: HashSet<_> = (0..10_000).map(|_| Context::fresh().next()).collect();
        let spans: HashSet<_> = made.iter().map(|context| context.span).collect();
        assert_eq!((made.len(), spans.len()), (10_000, 10_000));
    }
}
