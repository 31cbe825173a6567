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

/// An endpoint of events; administrators make them, so there are few.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivery {
    endpoint: String,
    outcome: &'static str,
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
    events: Events,
}

/// What is measured of the delivery of events.
struct Events {
    deliveries: Family<Delivery, Counter>,
    latencies: Family<Endpoint, Histogram>,
    queue_age: Family<Endpoint, Gauge<f64, AtomicU64>>,
    queue_length: Family<Endpoint, Gauge>,
    dead_letters: Family<Endpoint, Gauge>,
    missed: Family<Endpoint, Counter>,
}

impl Events {
    fn register(registry: &mut Registry) -> Self {
        let events = Self {
            deliveries: Family::default(),
            latencies: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
            queue_age: Family::default(),
            queue_length: Family::default(),
            dead_letters: Family::default(),
            missed: Family::default(),
        };
        let help = "Attempts to deliver an event, by how they ended";
        registry.register("event_deliveries", help, events.deliveries.clone());
        let help = "Time from an event to its delivery, in seconds";
        registry.register("event_delivery_seconds", help, events.latencies.clone());
        let help = "Age of the oldest event that waits for an endpoint, in seconds";
        registry.register("event_queue_age_seconds", help, events.queue_age.clone());
        let help = "Events between the cursor of an endpoint and the end of the log";
        registry.register("event_queue_length", help, events.queue_length.clone());
        let help = "Events that were given up for an endpoint";
        registry.register("event_dead_letters", help, events.dead_letters.clone());
        let help = "Events that were forgotten before their delivery";
        registry.register("events_missed", help, events.missed.clone());
        events
    }
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
        let events = Events::register(&mut registry);
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
            events,
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

    /// An endpoint took an event, so long after it happened.
    pub fn event_delivered(&self, endpoint: &str, since: Duration) {
        self.event_ended(endpoint, "delivered");
        self.events
            .latencies
            .get_or_create(&labelled(endpoint))
            .observe(since.as_secs_f64());
    }

    /// An endpoint took an event that had been given up.
    pub fn event_resent(&self, endpoint: &str) {
        self.event_ended(endpoint, "delivered");
    }

    /// An endpoint didn't take an event.
    pub fn event_failed(&self, endpoint: &str) {
        self.event_ended(endpoint, "failed");
    }

    fn event_ended(&self, endpoint: &str, outcome: &'static str) {
        let labels = Delivery {
            endpoint: endpoint.to_owned(),
            outcome,
        };
        self.events.deliveries.get_or_create(&labels).inc();
    }

    /// The oldest event that waits for an endpoint is so old, in seconds.
    pub fn event_queue_age(&self, endpoint: &str, seconds: f64) {
        let labels = labelled(endpoint);
        self.events.queue_age.get_or_create(&labels).set(seconds);
    }

    /// So many events wait for an endpoint, and so many were given up.
    pub fn event_queue(&self, endpoint: &str, waiting: i64, dead_letters: u64) {
        let labels = labelled(endpoint);
        self.events.queue_length.get_or_create(&labels).set(waiting);
        let dead_letters = i64::try_from(dead_letters).unwrap_or(i64::MAX);
        self.events
            .dead_letters
            .get_or_create(&labels)
            .set(dead_letters);
    }

    /// Nobody delivers for an endpoint here any more, so nobody knows what waits for it longest.
    pub fn forget_event_queue_age(&self, endpoint: &str) {
        self.events.queue_age.remove(&labelled(endpoint));
    }

    /// An endpoint is no more.
    pub fn forget_endpoint(&self, endpoint: &str) {
        let labels = labelled(endpoint);
        self.events.latencies.remove(&labels);
        self.events.queue_age.remove(&labels);
        self.events.queue_length.remove(&labels);
        self.events.dead_letters.remove(&labels);
        self.events.missed.remove(&labels);
        for outcome in ["delivered", "failed"] {
            let endpoint = endpoint.to_owned();
            let labels = Delivery { endpoint, outcome };
            self.events.deliveries.remove(&labels);
        }
    }

    /// Events were forgotten before an endpoint had them.
    pub fn events_missed(&self, endpoint: &str, count: u64) {
        let labels = labelled(endpoint);
        self.events.missed.get_or_create(&labels).inc_by(count);
    }

    /// Everything, in the text format of Prometheus.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a text does not fail");
        text
    }
}

fn labelled(endpoint: &str) -> Endpoint {
    Endpoint {
        endpoint: endpoint.to_owned(),
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
