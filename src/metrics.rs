//! What is measured, for Prometheus.
//!
//! Labels have few values: a route is the router's pattern and never a path, so that no client can
//! make series by asking for new names.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The bounds of the buckets of latencies, in seconds.
const LATENCY_BUCKETS: [f64; 12] = [
    0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// How an upload went on.
#[derive(Clone, Copy, Debug)]
pub enum UploadOutcome {
    /// It began.
    Started,
    /// It became a blob.
    Finished,
    /// Its client ended it.
    Cancelled,
    /// A blob was mounted instead.
    Mounted,
}

/// Everything that is measured.
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    latencies: Family<Route, Histogram>,
    in_flight: Gauge,
    received: Counter,
    sent: Counter,
    uploads: Family<Outcome, Counter>,
}

impl Metrics {
    /// Counters that stand at nothing.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("wharf");
        let requests = Family::default();
        registry.register(
            "http_requests",
            "Requests that were answered",
            requests.clone(),
        );
        let latencies: Family<Route, Histogram> =
            Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS));
        let help = "Time from a request's head to the head of its answer, in seconds";
        registry.register("http_request_duration_seconds", help, latencies.clone());
        let in_flight: Gauge = Gauge::default();
        let help = "Requests whose answer is not complete";
        registry.register("http_requests_in_flight", help, in_flight.clone());
        let received: Counter = Counter::default();
        let help = "Bytes of the bodies of requests";
        registry.register("http_received_bytes", help, received.clone());
        let sent: Counter = Counter::default();
        let help = "Bytes of the bodies of answers";
        registry.register("http_sent_bytes", help, sent.clone());
        let uploads = Family::default();
        registry.register(
            "uploads",
            "Uploads, by what became of them",
            uploads.clone(),
        );
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The program that runs", Info::new(version));
        let started: Gauge<f64, AtomicU64> = Gauge::default();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        started.set(now.as_secs_f64());
        let help = "When the process started, in seconds since 1970";
        registry.register("process_start_time_seconds", help, started);
        Self {
            registry,
            requests,
            latencies,
            in_flight,
            received,
            sent,
            uploads,
        }
    }

    /// A request began.
    pub fn request_began(&self) {
        self.in_flight.inc();
    }

    /// A request's answer has its head.
    pub fn request_answered(
        &self,
        method: &Method,
        route: &str,
        status: StatusCode,
        latency: Duration,
    ) {
        let method = method_label(method);
        let labels = Request {
            method,
            route: route.to_owned(),
            status: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
        let labels = Route {
            method,
            route: labels.route,
        };
        self.latencies
            .get_or_create(&labels)
            .observe(latency.as_secs_f64());
    }

    /// A request's answer is complete, or was broken off.
    pub fn request_ended(&self, received_bytes: u64, sent_bytes: u64) {
        self.in_flight.dec();
        self.received.inc_by(received_bytes);
        self.sent.inc_by(sent_bytes);
    }

    /// Something became of an upload.
    pub fn upload(&self, outcome: UploadOutcome) {
        let outcome = match outcome {
            UploadOutcome::Started => "started",
            UploadOutcome::Finished => "finished",
            UploadOutcome::Cancelled => "cancelled",
            UploadOutcome::Mounted => "mounted",
        };
        self.uploads.get_or_create(&Outcome { outcome }).inc();
    }

    /// Everything, in the text format of Prometheus.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a text does not fail");
        text
    }
}

/// A method as a label; what nobody knows is one label.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
    KNOWN
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}
