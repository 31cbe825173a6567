//! Pages of lists.

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries, in the list's order.
    pub items: Vec<T>,
    /// Whether the list goes on behind them.
    pub more: bool,
}

impl<T> Page<T> {
    /// The page of `limit` entries, from a list that was asked for one more than that.
    pub(super) fn of(mut items: Vec<T>, limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}
