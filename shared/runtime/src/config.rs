//! Configuration from environment variables. An error names the variable and says what its value
//! should look like; it never shows the value, which may be a secret.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{name} is not set: it should be {wanted}")]
    Missing { name: String, wanted: &'static str },
    #[error("{name} is not usable ({reason}): it should be {wanted}")]
    Invalid { name: String, wanted: &'static str, reason: String },
}

/// The value of the variable `name`, or `default` when it is unset or empty.
pub fn env<T>(name: &str, default: Option<T>) -> Result<T, Error>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    env_any(&[name], default)
}

/// As [`env()`], for a variable with aliases: the first name that is set wins, and the first name
/// of all is the one an error tells.
pub fn env_any<T>(names: &[&str], default: Option<T>) -> Result<T, Error>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    first(names, |name| std::env::var(name).ok(), default)
}

/// A duration given in seconds, fractions allowed (`2`, `0.5`); never zero.
pub fn seconds(name: &str, default: Option<Duration>) -> Result<Duration, Error> {
    env(name, default.map(Seconds)).map(|Seconds(duration)| duration)
}

/// Where the broker is: `AMQP_URL`, also under its customary aliases.
pub fn amqp_url() -> Result<Redacted, Error> {
    env_any(&["AMQP_URL", "RABBITMQ_URL", "AMQP_ADDR"], None)
}

/// Where this service's own database is: `DATABASE_URL`.
pub fn database_url() -> Result<Redacted, Error> {
    env("DATABASE_URL", None)
}

/// Where to listen: `HTTP_BIND` (default: this machine only) and `PORT`.
pub fn http_address(default_port: u16) -> Result<(IpAddr, u16), Error> {
    let bind = env("HTTP_BIND", Some(IpAddr::from([127, 0, 0, 1])))?;
    Ok((bind, env("PORT", Some(default_port))?))
}

fn first<T>(
    names: &[&str],
    lookup: impl Fn(&str) -> Option<String>,
    default: Option<T>,
) -> Result<T, Error>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    // Compose files pass `${X:-}` on as an empty value, which means unset.
    let set = names
        .iter()
        .find_map(|name| lookup(name).filter(|value| !value.trim().is_empty()).map(|v| (name, v)));
    match set {
        Some((name, value)) => value.trim().parse().map_err(|reason: T::Err| Error::Invalid {
            name: (*name).to_owned(),
            wanted: shape::<T>(),
            reason: reason.to_string(),
        }),
        None => default.ok_or_else(|| Error::Missing {
            name: names.first().map_or_else(String::new, |name| (*name).to_owned()),
            wanted: shape::<T>(),
        }),
    }
}

/// What a value of this type looks like, in words for whoever sets the variable.
fn shape<T>() -> &'static str {
    match std::any::type_name::<T>().rsplit("::").next().unwrap_or_default() {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" | "i32" | "i64" => "a whole number",
        "NonZero<u32>" | "NonZero<u64>" | "NonZero<usize>" => "a whole number above 0",
        "f32" | "f64" => "a number",
        "bool" => "true or false",
        "IpAddr" => "an IP address such as 127.0.0.1",
        "Redacted" => "a URL such as scheme://user:password@host/name",
        "Seconds" => "a number of seconds above 0, such as 5 or 0.5",
        "PathBuf" => "a path",
        _ => "a valid value",
    }
}

struct Seconds(Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
        match Duration::try_from_secs_f64(number) {
            Ok(duration) if !duration.is_zero() => Ok(Self(duration)),
            _ => Err("out of range".to_owned()),
        }
    }
}

/// A URL whose password must never be printed: both `Display` and `Debug` hide it.
#[derive(Clone, PartialEq, Eq)]
pub struct Redacted(String);

impl Redacted {
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL in full, for the client library that needs it; never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Redacted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("://") { Ok(Self(text.to_owned())) } else { Err("not a URL") }
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str("***") };
        write!(f, "{scheme}://")?;
        // The last `@` of all: a password may hold a raw `@`, `/` or `?`, and hiding too much is safe.
        let place = match rest.rsplit_once('@') {
            Some((user_info, place)) => {
                match user_info.split_once(':') {
                    Some((user, _)) => write!(f, "{user}:***@")?,
                    None => write!(f, "{user_info}@")?,
                }
                place
            }
            None => rest,
        };
        // Parameters can carry secrets too (`?password=`, `?sslpassword=`).
        match place.split_once('?') {
            Some((place, _)) => write!(f, "{place}?***"),
            None => f.write_str(place),
        }
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redacted({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn an_unusable_value_is_refused_by_the_name_of_its_variable_and_never_shown() {
        let error = first::<u16>(&["PORT"], set(&[("PORT", "s3cret")]), Some(1)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("PORT") && text.contains("0 to 65535"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    }

    #[test]
    fn a_missing_value_without_a_default_is_refused_by_the_first_name() {
        let names = ["AMQP_URL", "RABBITMQ_URL"];
        let error = first::<Redacted>(&names, set(&[]), None).unwrap_err();
        assert!(error.to_string().starts_with("AMQP_URL is not set"), "{error}");
    }

    #[test]
    fn an_alias_counts_and_an_empty_value_is_unset() {
        let env = set(&[("AMQP_URL", ""), ("AMQP_ADDR", "amqp://here")]);
        let url: Redacted = first(&["AMQP_URL", "RABBITMQ_URL", "AMQP_ADDR"], env, None).unwrap();
        assert_eq!(url.expose(), "amqp://here");
        assert_eq!(first(&["PORT"], set(&[("PORT", " ")]), Some(8000_u16)), Ok(8000));
    }

    #[test]
    fn seconds_may_be_fractions_but_not_nothing() {
        assert_eq!("0.5".parse::<Seconds>().map(|s| s.0), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "soon", "1e300", "NaN"] {
            assert!(bad.parse::<Seconds>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_redacted_url_never_prints_its_password() {
        for (url, shown) in [
            ("amqp://guest:s3cret@host:5672/vhost", "amqp://guest:***@host:5672/vhost"),
            ("amqp://guest:s3cret@a:1,b:2/%2f", "amqp://guest:***@a:1,b:2/%2f"),
            ("postgres://u:s3cr@et/@host/db", "postgres://u:***@host/db"),
            ("postgres://host/db?password=s3cret", "postgres://host/db?***"),
            ("amqp://host", "amqp://host"),
            ("host=x password=s3cret", "***"),
        ] {
            let url = Redacted::new(url);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("Redacted({shown})"));
            assert!(!format!("{url:?} {url}").contains("s3cr"));
        }
    }
}
