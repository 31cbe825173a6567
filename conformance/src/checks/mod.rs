//! The checks, one file for each family of endpoints.

mod bad_input;
mod blobs;
mod catalog;
mod kinds;
mod manifests;
mod mounts;
mod ranges;
mod referrers;
mod tags;
mod uploads;
mod version;

use crate::check::Check;

/// Every check, in the order in which they are told.
pub(crate) fn all() -> impl Iterator<Item = &'static Check> {
    let families = [
        version::CHECKS,
        blobs::CHECKS,
        ranges::CHECKS,
        uploads::CHECKS,
        mounts::CHECKS,
        manifests::CHECKS,
        kinds::CHECKS,
        tags::CHECKS,
        referrers::CHECKS,
        catalog::CHECKS,
        bad_input::CHECKS,
    ];
    families.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let names: Vec<_> = all().map(|check| (check.family, check.name)).collect();
        let different: BTreeSet<_> = names.iter().collect();
        assert_eq!(names.len(), different.len());
    }
}
