//! What is wrong with JSON, without what is in it.

/// The error's text without values: a body may hold anything, and the text of an error goes to logs.
/// Names of fields that are missing, and what was expected, stay.
pub fn without_values(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    // A value that is text stands in quotes, and may hold quotes and backticks itself.
    if let (Some(first), Some(last)) = (text.find('"'), text.rfind('"'))
        && first < last
    {
        text.replace_range(first..=last, "…");
    }
    for word in ["integer ", "floating point ", "boolean ", "character ", "variant ", "field "] {
        for before in ["unknown ", "invalid type: ", "invalid value: "] {
            let told = format!("{before}{word}`");
            let Some(start) = text.find(&told).map(|at| at + told.len()) else { continue };
            // Its end is the last before what was expected.
            let rest = text.find(", expected").unwrap_or(text.len());
            if let Some(end) = text.get(start..rest).and_then(|value| value.rfind('`')) {
                text.replace_range(start..start + end, "…");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::without_values;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Body {
        number: i8,
        word: Option<Word>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Done,
    }

    #[test]
    fn the_text_of_an_error_tells_what_was_expected_and_no_value() {
        for (body, told) in [
            (r#"{"number":"4111"}"#, "expected i8"),
            (r#"{"number":"41\"11`, expected 4111"}"#, "expected i8"),
            (r#"{"number":4111}"#, "expected i8"),
            (r#"{"number":4111.5}"#, "expected i8"),
            (r#"{"number":1,"word":"x4111`, expected"}"#, "expected"),
            (r#"{"number":1,"f4111":1}"#, "expected"),
            (r#"{"word":null}"#, "missing field `number`"),
        ] {
            let error = serde_json::from_str::<Body>(body).unwrap_err();
            let text = without_values(&error);
            assert!(!text.contains("4111"), "{text} of {error}");
            assert!(text.contains(told), "{text} of {error}");
        }
    }
}
