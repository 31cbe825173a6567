//! Which events somebody wants.

use wharf_storage::metadata::Event;
use wharf_storage::pattern::Pattern;

/// Patterns of types and of repositories; an empty list stands for all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    types: Vec<Pattern>,
    repositories: Vec<Pattern>,
}

impl Filter {
    /// The filter of these patterns.
    pub fn new<T, R>(types: T, repositories: R) -> Self
    where
        T: IntoIterator<Item: Into<String>>,
        R: IntoIterator<Item: Into<String>>,
    {
        Self {
            types: types.into_iter().map(Pattern::new).collect(),
            repositories: repositories.into_iter().map(Pattern::new).collect(),
        }
    }

    /// Whether an event is wanted. One that is about no repository isn't, where some are named.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let any = |patterns: &[Pattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
        };
        let repository = event.repository.as_ref().map_or("", |name| name.as_str());
        any(&self.types, event.kind.as_str()) && any(&self.repositories, repository)
    }
}
