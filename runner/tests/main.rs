//! The runner's tests, one binary: a real dockerd, a real registry, and the real `aws`.
//!
//! | module | what it asks |
//! |---|---|
//! | `ecs` | services behind a balancer, pushes, rollback, tasks, restarts |
//! | `lambda` | functions of real runtimes, warm ones, streams, URLs, pushes |
//! | `batch` | jobs: arrays, dependencies, retries, crashes |
//! | `shapes` | event rules, HTTP APIs, container services |
//! | `hostile` | images that want more than they are given |
//! | `podman` | podman instead of Docker |
//! | `door` | who is let in |
//! | `support` | an engine, a registry and a runner for each test |

mod batch;
mod door;
mod ecs;
mod hostile;
mod lambda;
mod podman;
mod shapes;
mod support;
