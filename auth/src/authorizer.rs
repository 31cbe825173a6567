//! The decision whether a caller may do something.

/// The answer of the policies to «may they?».
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They may.
    Allowed,
    /// They may not.
    Denied,
}

/// The answer to a call, which may have less to it than its principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It may.
    Allowed,
    /// No policy lets its principal, or one denies it.
    Denied,
    /// Its principal may, but the token that came along is not for this.
    BeyondToken,
}
