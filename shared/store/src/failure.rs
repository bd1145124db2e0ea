//! What a database error says about whose fault it is.

use sqlx::{
    Error,
    error::DatabaseError,
    postgres::{PgDatabaseError, PgSeverity},
};

/// The database is away, full, starting, stopping or read-only, or has no connection to spare:
/// whoever asked should wait and ask again, and blame no message for it.
pub fn is_infrastructure(error: &Error) -> bool {
    match error {
        Error::Io(_)
        | Error::Tls(_)
        | Error::Protocol(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed => true,
        Error::Database(error) => {
            is_fatal(error.as_ref()) || error.code().is_some_and(|code| infrastructure_code(&code))
        }
        _ => false,
    }
}

/// The server ended the session, or began none, whatever its reason.
fn is_fatal(error: &dyn DatabaseError) -> bool {
    error
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// The transaction met another one (serialisation, deadlock, a lock not had in time); the same
/// transaction may well succeed when it is done again from its beginning.
pub fn is_retriable(error: &Error) -> bool {
    code(error).is_some_and(|code| matches!(code.as_str(), "40001" | "40P01" | "55P03"))
}

/// The statement can never succeed as it stands: a value out of range, a column that is not
/// there, a row that cannot be decoded.
pub fn is_permanent(error: &Error) -> bool {
    match error {
        Error::ColumnDecode { .. }
        | Error::ColumnNotFound(_)
        | Error::ColumnIndexOutOfBounds { .. }
        | Error::Decode(_)
        | Error::Encode(_)
        | Error::TypeNotFound { .. } => true,
        Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("42"))
        }
        _ => false,
    }
}

fn code(error: &Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

fn infrastructure_code(code: &str) -> bool {
    // 08 connection, 53 out of resources, 57P0x shutdown and crash, 58 operating system errors,
    // 25006 read-only (a standby, or a primary that is being replaced), 25P03 an idle transaction
    // that the server ended, 28 and 3D000 a role or database that is not there yet.
    ["08", "53", "57P0", "58", "28"].iter().any(|class| code.starts_with(class))
        || matches!(code, "25006" | "25P03" | "3D000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_an_absent_or_failing_server_are_infrastructure_and_others_are_not() {
        for code in ["08006", "53300", "53100", "57P01", "57P02", "57P03", "25006", "25P03"] {
            assert!(infrastructure_code(code), "{code}");
        }
        for code in ["40001", "40P01", "55P03", "23505", "42P01", "22003", "57014", "25P02"] {
            assert!(!infrastructure_code(code), "{code}");
        }
    }

    #[test]
    fn a_pool_without_a_free_connection_is_infrastructure() {
        assert!(is_infrastructure(&Error::PoolTimedOut));
        assert!(!is_infrastructure(&Error::RowNotFound));
        assert!(!is_retriable(&Error::PoolTimedOut));
    }
}
