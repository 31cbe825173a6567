//! Takes what libFuzzer makes up to the parser that `WHARF_FUZZ_TARGET` names.
//!
//! One program has all of them, since building it takes the time, and not its runs.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("WHARF_FUZZ_TARGET").expect("WHARF_FUZZ_TARGET names a parser");
    let lists = [
        wharf_storage::fuzzing::TARGETS,
        wharf::fuzzing::TARGETS,
        wharf_runner::fuzzing::TARGETS,
    ];
    let found = lists.into_iter().flatten().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("there is no parser {wanted}")).1
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
