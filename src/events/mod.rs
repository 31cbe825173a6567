//! Telling others what happened.
//!
//! What happened lies in the metadata as a log, written together with what it tells of. Everybody
//! reads that log with a cursor of their own: whoever asks `GET /events`, and each endpoint that
//! events are delivered to. So nothing here can lose an event; at worst it is told twice, under the
//! same id.
//!
//! | module | job |
//! |---|---|
//! | [`feed`] | the end of the log in memory, and a signal when it grows |
//! | [`filter`] | which events somebody wants |
//! | [`format`] | events as CloudEvents, as EventBridge's, as Docker's notifications |
//! | [`sink`] | where they go: a webhook, a NATS JetStream; a further one needs one file |
//! | [`window`] | which delivery is next, and when: the order, the retries, the giving up |
//! | `courier` | delivers for one endpoint |
//! | [`dispatcher`] | holds endpoints, so that one server at a time delivers for each |
//! | `ledger` | writes down what couriers did, all at once |
//! | [`endpoints`] | makes, changes and removes endpoints |

mod courier;
pub mod dispatcher;
pub mod endpoints;
pub mod feed;
pub mod filter;
pub mod format;
mod ledger;
pub mod sink;
pub mod window;

pub use dispatcher::Dispatcher;
pub use endpoints::Endpoints;
pub use feed::Feed;
pub use filter::Filter;
pub use format::{Format, Origin};
