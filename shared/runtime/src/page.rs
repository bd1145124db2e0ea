//! Lists in pages. Every list answers `{"items": [...], "next": null | "cursor"}`, and takes
//! `?limit=` and `?cursor=`: put a [`Limit`] and an `Option<Cursor<K>>` of those names into the
//! type of the query (`Params<T>`), and a bad one is refused by its name.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::Error as _};
use std::borrow::Cow;

/// How many items a page may hold: 1 to 200, 50 unless asked otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    pub const MAX: u16 = 200;

    pub fn get(self) -> usize {
        usize::from(self.0)
    }

    /// The number of rows to fetch for [`Page::cut`]: one more than the page holds, which tells
    /// whether there is a next page.
    pub fn rows(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        match text.parse() {
            Ok(limit @ 1..=Self::MAX) => Ok(Self(limit)),
            _ => Err(D::Error::custom("must be a whole number from 1 to 200")),
        }
    }
}

/// The key of the last item of a page, opaque to clients. The key is whatever the list is
/// ordered by, plain data such as an id or a tuple of a time and an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor<K>(pub K);

impl<K: Serialize> Cursor<K> {
    pub fn encode(&self) -> String {
        let json = serde_json::to_vec(&self.0).expect("a key is plain data, which is always JSON");
        json.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<K: DeserializeOwned> Cursor<K> {
    /// `None` for anything that [`encode`](Self::encode) did not make.
    pub fn decode(text: &str) -> Option<Self> {
        let digits: Vec<u8> =
            text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let json: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        if rest.is_empty() { serde_json::from_slice(&json).ok().map(Self) } else { None }
    }
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Cursor<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::decode(&text)
            .ok_or_else(|| D::Error::custom("is not a cursor that this list has given out"))
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The `cursor` to ask for the page after this one; `None` when this is the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of rows fetched with [`Limit::rows`]; `key` tells the key of an item.
    pub fn cut<K: Serialize>(mut items: Vec<T>, limit: Limit, key: impl Fn(&T) -> K) -> Self {
        let more = items.len() > limit.get();
        items.truncate(limit.get());
        let next = if more { items.last().map(|last| Cursor(key(last)).encode()) } else { None };
        Self { items, next }
    }

    /// The same page with every item in another form.
    pub fn map<U>(self, form: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(form).collect(), next: self.next }
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_the_key_it_was_made_of() {
        let key = ("2026-01-02T03:04:05Z".to_owned(), 7_u64);
        let text = Cursor(key.clone()).encode();
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric()));
        assert_eq!(Cursor::decode(&text), Some(Cursor(key)));
    }

    #[test]
    fn nothing_but_a_cursor_of_the_same_list_is_taken_for_one() {
        let other = Cursor("text").encode();
        for bad in ["", "zz", "1", "ä", "7b", other.as_str()] {
            assert_eq!(Cursor::<u64>::decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let limit = Limit(3);
        let (mut seen, mut after) = (Vec::<u32>::new(), 0_u32);
        loop {
            let rows: Vec<u32> = (after + 1..=7).take(limit.rows() as usize).collect();
            let page = Page::cut(rows, limit, |item| *item);
            seen.extend(&page.items);
            let Some(next) = page.next else { break };
            after = Cursor::decode(&next).unwrap().0;
        }
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_last_page_that_is_full_has_no_next() {
        assert_eq!(Page::cut(vec![1, 2, 3], Limit(3), |item| *item).next, None);
    }
}
