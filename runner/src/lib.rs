//! Wharf's runner: images of a registry, run on an existing container engine in the shapes of
//! Amazon ECS, Lambda, Batch and Lightsail.
//!
//! It talks to a registry over its public API only, and to callers in the APIs of AWS.
//!
//! | module | job |
//! |---|---|
//! | `commands` | the command line |
//! | `config` | what can be chosen |
//! | `app` | all parts together |
//! | `aws` | the front door: protocols, signatures, errors |
//! | `store` | the runner's own state |
//! | `engine` | the container engine |
//! | `registry`, `follow` | images, events and leases of the registry |
//! | `ground` | what every shape of running needs |
//! | `ecs`, `proxy` | tasks and services, and their balancers |
//! | `lambda` | functions |
//! | `apigateway` | HTTP APIs before functions |
//! | `batch` | jobs |
//! | `lightsail` | container services, on top of `ecs` |
//! | `rules` | events that start something |

mod apigateway;
mod app;
mod aws;
mod batch;
pub mod commands;
pub mod config;
mod ecs;
mod engine;
mod follow;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod ground;
mod lambda;
mod lightsail;
mod proxy;
mod registry;
mod rules;
mod store;
