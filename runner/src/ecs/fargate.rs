//! Which pairs of CPU and memory Fargate has.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html>

/// CPU units and MiB of a definition: numbers, or `.5 vCPU` and `1 GB`.
pub(super) fn units(text: &str, word: &str, factor: f64) -> Option<u64> {
    let text = text.trim().to_lowercase();
    match text.strip_suffix(word) {
        Some(number) => {
            let number: f64 = number.trim().parse().ok()?;
            Some((number * factor) as u64)
        }
        None => text.parse().ok(),
    }
}

/// Reads any size.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(text: &str) {
    for (word, factor) in [("vcpu", 1024.0), ("gb", 1024.0)] {
        if let Some(size) = units(text, word, factor) {
            let _ = is_pair(size, size);
        }
    }
}

/// Whether Fargate has a task of this size.
pub(super) fn is_pair(cpu: u64, memory: u64) -> bool {
    let within = |first: u64, last: u64, step: u64| {
        (first * 1024..=last * 1024).contains(&memory) && memory.is_multiple_of(step * 1024)
    };
    match cpu {
        256 => matches!(memory, 512 | 1024 | 2048),
        512 => within(1, 4, 1),
        1024 => within(2, 8, 1),
        2048 => within(4, 16, 1),
        4096 => within(8, 30, 1),
        8192 => within(16, 60, 4),
        16384 => within(32, 120, 8),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pairs_that_fargate_has_are_taken() {
        for (cpu, memory, want) in [
            (256, 512, true),
            (256, 4096, false),
            (512, 1024, true),
            (512, 512, false),
            (1024, 8192, true),
            (1024, 1024, false),
            (8192, 20480, true),
            (8192, 18432, false),
            (300, 512, false),
        ] {
            assert_eq!(is_pair(cpu, memory), want, "{cpu} {memory}");
        }
        assert_eq!(units(".5 vCPU", "vcpu", 1024.0), Some(512));
        assert_eq!(units("1GB", "gb", 1024.0), Some(1024));
        assert_eq!(units("much", "gb", 1024.0), None);
    }
}
