//! The integration tests, one binary: real servers on free ports, and real clients.
//!
//! | module | what it asks |
//! |---|---|
//! | `access` | who may do what: logins of real clients, tokens, revoking, TLS |
//! | `api` | what the API does with requests that no library mends |
//! | `clients` | what people use a registry with |
//! | `collection` | what nothing needs any more, and what can be restored |
//! | `ecr` | Amazon ECR's API, with `aws` and boto3 |
//! | `events` | what happened, as others are told: streams, webhooks, NATS |
//! | `dockerfile` | the image of Wharf itself |
//! | `gauntlet` | faults and bad input of every kind: nothing is lost, and nobody gets in |
//! | `layering` | which part may know of which |
//! | `official` | the official suite of the specification |
//! | `operation` | starting, stopping, logs, metrics, the command line |
//! | `own_suite` | our own suite, against Wharf and against a peer |
//! | `scale` | several servers, PostgreSQL, and blobs in a bucket |
//! | `transfer` | images to and from other places, and a docker-registry taken over |
//! | `supply` | what is built in, and the list of it |
//! | `support` | servers, clients and images that tests are made of |

mod access;
mod api;
mod clients;
mod collection;
mod dockerfile;
mod ecr;
mod events;
mod gauntlet;
mod layering;
mod official;
mod operation;
mod own_suite;
mod scale;
mod supply;
mod support;
mod transfer;
