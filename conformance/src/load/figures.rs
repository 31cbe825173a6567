//! Latencies and rates.

use std::time::Duration;

use serde_json::json;

use crate::arguments::Load;

/// What one client counted.
#[derive(Debug, Default)]
pub(super) struct Tally {
    latencies: Vec<Duration>,
    bytes: u64,
    errors: u64,
    /// The first failure stands for all of them.
    reason: Option<String>,
}

impl Tally {
    pub(super) fn succeeded(&mut self, latency: Duration, bytes: u64) {
        self.latencies.push(latency);
        self.bytes += bytes;
    }

    pub(super) fn failed(&mut self, reason: String) {
        self.errors += 1;
        self.reason.get_or_insert(reason);
    }
}

/// What all clients counted.
#[derive(Debug)]
pub(super) struct Figures {
    /// From the shortest to the longest.
    latencies: Vec<Duration>,
    bytes: u64,
    pub(super) errors: u64,
    reason: Option<String>,
    took: Duration,
}

impl Figures {
    pub(super) fn of(tallies: Vec<Tally>, took: Duration) -> Self {
        let mut figures = Self {
            latencies: Vec::new(),
            bytes: 0,
            errors: 0,
            reason: None,
            took,
        };
        for tally in tallies {
            figures.latencies.extend(tally.latencies);
            figures.bytes += tally.bytes;
            figures.errors += tally.errors;
            figures.reason = figures.reason.or(tally.reason);
        }
        figures.latencies.sort_unstable();
        figures
    }

    fn requests_per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    fn mib_per_second(&self) -> f64 {
        self.bytes as f64 / f64::from(1 << 20) / self.took.as_secs_f64()
    }

    /// The latency that `part` of the requests stay below, in milliseconds.
    fn percentile(&self, part: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let place = (last as f64 * part).round() as usize;
        self.latencies
            .get(place)
            .map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }

    /// The figures for a person.
    pub(super) fn text(&self, arguments: &Load) -> String {
        let reason = self
            .reason
            .as_ref()
            .map(|reason| format!("  first error   {reason}\n"));
        format!(
            "{mode:?}, {clients} clients, {size}, {took:.1} s\n  \
             requests/s    {requests:.1}\n  MiB/s         {mib:.1}\n  errors        {errors}\n{reason}  \
             latency ms    min {min:.2}  p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  max {max:.2}\n",
            mode = arguments.mode,
            clients = arguments.clients,
            size = arguments.size,
            took = self.took.as_secs_f64(),
            requests = self.requests_per_second(),
            mib = self.mib_per_second(),
            errors = self.errors,
            reason = reason.unwrap_or_default(),
            min = self.percentile(0.0),
            p50 = self.percentile(0.5),
            p90 = self.percentile(0.9),
            p99 = self.percentile(0.99),
            max = self.percentile(1.0),
        )
    }

    /// The figures for a program.
    pub(super) fn json(&self, arguments: &Load) -> String {
        let figures = json!({
            "mode": format!("{:?}", arguments.mode).to_lowercase(),
            "clients": arguments.clients,
            "size_bytes": arguments.size.as_u64(),
            "seconds": self.took.as_secs_f64(),
            "requests": self.latencies.len(),
            "requests_per_second": self.requests_per_second(),
            "mib_per_second": self.mib_per_second(),
            "errors": self.errors,
            "latency_milliseconds": {
                "min": self.percentile(0.0),
                "p50": self.percentile(0.5),
                "p90": self.percentile(0.9),
                "p99": self.percentile(0.99),
                "max": self.percentile(1.0),
            },
        });
        format!("{figures:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_latencies() {
        let mut tallies = [Tally::default(), Tally::default()];
        for number in (1..=101).rev() {
            tallies[number % 2].succeeded(Duration::from_millis(number as u64), 1 << 20);
        }
        let figures = Figures::of(tallies.into(), Duration::from_secs(10));
        assert_eq!(figures.percentile(0.0).round(), 1.0);
        assert_eq!(figures.percentile(0.5).round(), 51.0);
        assert_eq!(figures.percentile(0.99).round(), 100.0);
        assert_eq!(figures.percentile(1.0).round(), 101.0);
        assert!((figures.mib_per_second() - 10.1).abs() < 0.001);
    }

    #[test]
    fn no_request_at_all_has_figures_too() {
        let figures = Figures::of(Vec::new(), Duration::from_secs(1));
        assert_eq!(
            (figures.percentile(0.99), figures.requests_per_second()),
            (0.0, 0.0)
        );
    }
}
