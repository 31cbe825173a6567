//! An instance: a container of a function, and the listener of its Runtime API.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Lambda;
use super::model::Function;
use super::pool::Started;
use super::runtime_api::{self, Api, Invocation, Ready};
use crate::aws::id;
use crate::engine::{self, Engine, Exit, Limits, Network, OWNER, PART, ROLE, Spec};

/// How long extensions may take to shut down.
const SHUTDOWN: Duration = Duration::from_secs(2);
/// With how much memory a function has a whole CPU.
const MIB_PER_CPU: f64 = 1769.0;

/// A container that runs one invocation at a time.
#[derive(Debug)]
pub(super) struct Instance {
    id: String,
    container: String,
    revision: String,
    api: Arc<Api>,
    is_alive: AtomicBool,
    stop: CancellationToken,
}

impl Instance {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn container(&self) -> &str {
        &self.container
    }

    pub(super) fn revision(&self) -> &str {
        &self.revision
    }

    pub(super) fn is_alive(&self) -> bool {
        self.is_alive.load(Ordering::Acquire)
    }

    /// Hands an invocation over.
    pub(super) fn send(&self, invocation: Invocation) {
        self.api.send(invocation);
    }

    /// Waits until extensions are done with the last invocation.
    pub(super) async fn settled(&self) {
        self.api.extensions.settled().await;
    }

    pub(super) fn has_extensions(&self) -> bool {
        self.api.extensions.is_any()
    }

    /// Ends it: extensions are told, then the container is killed.
    pub(super) async fn end(&self, engine: &Engine) {
        self.is_alive.store(false, Ordering::Release);
        if self.api.extensions.shut_down("spindown") {
            let ended = engine.ended(&self.container);
            // Those that take longer are killed.
            let _ = tokio::time::timeout(SHUTDOWN, ended).await;
        }
        self.kill(engine).await;
    }

    /// Ends it at once.
    pub(super) async fn kill(&self, engine: &Engine) {
        self.is_alive.store(false, Ordering::Release);
        self.stop.cancel();
        if let Err(error) = engine.remove(&self.container).await {
            tracing::warn!(%error, "an instance can't be removed");
        }
    }
}

impl Lambda {
    /// Starts an instance, and waits until it asks for its first invocation.
    pub(super) async fn start_instance(&self, function: &Function) -> Started {
        match self.create_instance(function).await {
            Ok(started) => started,
            Err(error) => Started::Failed(error.to_string()),
        }
    }

    async fn create_instance(&self, function: &Function) -> Result<Started, engine::Error> {
        let engine = &self.ground.engine;
        let listener = TcpListener::bind((engine.gateway(), 0)).await;
        let listener = listener.map_err(|error| engine::Error::Pull(error.to_string()))?;
        let address = listener
            .local_addr()
            .map_err(|error| engine::Error::Pull(error.to_string()))?;
        let id = id();
        let spec = spec(
            function,
            &id,
            &address.to_string(),
            self.ground.names.region(),
        );
        let container = engine.create(&spec).await?;
        let (api, stop) = (Arc::new(Api::new(function)), self.ground.stop.child_token());
        let serving = runtime_api::serve(Arc::clone(&api), listener, stop.clone());
        self.ground.tracker.spawn(serving);
        let instance = Arc::new(Instance {
            id,
            container,
            revision: function.revision.clone(),
            api,
            is_alive: AtomicBool::new(true),
            stop,
        });
        let outcome = self.initialize(&instance).await;
        match outcome {
            Ok(Started::Ready(ready)) => {
                self.watch(function, &instance);
                Ok(Started::Ready(ready))
            }
            Ok(Started::Failed(reason)) => {
                let lines = engine.last_lines(&instance.container, 3).await;
                instance.kill(engine).await;
                let said: String = lines
                    .iter()
                    .map(|line| format!("; {}", line.text))
                    .collect();
                Ok(Started::Failed(format!("{reason}{said}")))
            }
            Err(error) => {
                instance.kill(engine).await;
                Err(error)
            }
        }
    }

    async fn initialize(&self, instance: &Arc<Instance>) -> Result<Started, engine::Error> {
        let engine = &self.ground.engine;
        let extensions = engine
            .names_in(&instance.container, "/opt/extensions")
            .await;
        instance.api.extensions.expect(extensions.len());
        engine.start(&instance.container).await?;
        // The listener answers nobody before it knows whom.
        let Some(address) = engine.address(&instance.container).await? else {
            let exit = engine.ended(&instance.container).await;
            return Ok(Started::Failed(exited(&exit)));
        };
        instance.api.answer_to(address);
        for name in extensions {
            engine
                .execute(&instance.container, &format!("/opt/extensions/{name}"))
                .await?;
        }
        let patience = self.ground.config.lambda.init_timeout.duration();
        let ended = engine.ended(&instance.container);
        let ready = tokio::select! {
            ready = instance.api.ready() => ready,
            exit = ended => Ready::Failed(exited(&exit)),
            () = tokio::time::sleep(patience) => Ready::Failed("Init timed out".into()),
        };
        Ok(match ready {
            Ready::Failed(reason) => Started::Failed(reason),
            Ready::Yes | Ready::NotYet => Started::Ready(Arc::clone(instance)),
        })
    }

    /// Notices when an instance ends by itself.
    fn watch(&self, function: &Function, instance: &Arc<Instance>) {
        let (lambda, name, instance) = (self.clone(), function.name.clone(), Arc::clone(instance));
        self.ground.tracker.spawn(async move {
            let exit = tokio::select! {
                () = instance.stop.cancelled() => return,
                exit = lambda.ground.engine.ended(&instance.container) => exit,
            };
            instance.is_alive.store(false, Ordering::Release);
            instance.api.died(&exited(&exit));
            lambda.pool(&name).forget(&instance);
            instance.kill(&lambda.ground.engine).await;
        });
    }
}

fn spec(function: &Function, id: &str, api: &str, region: &str) -> Spec {
    let config = &function.image_config;
    let list = |name: &str| {
        config[name]
            .as_array()
            .map(|_| crate::aws::texts(&config[name]))
    };
    let command = list("Command");
    let handler = command
        .as_ref()
        .and_then(|words| words.first().cloned())
        .unwrap_or_default();
    let own = [
        ("AWS_LAMBDA_RUNTIME_API", api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
        (
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            function.memory_mib.to_string(),
        ),
        (
            "AWS_LAMBDA_LOG_GROUP_NAME",
            format!("/aws/lambda/{}", function.name),
        ),
        ("AWS_LAMBDA_LOG_STREAM_NAME", id.to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
        ("LAMBDA_TASK_ROOT", "/var/task".into()),
        ("_HANDLER", handler),
        ("AWS_REGION", region.to_owned()),
        ("AWS_DEFAULT_REGION", region.to_owned()),
        ("TZ", ":UTC".into()),
    ];
    let chosen = function
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let own = own.iter().map(|(name, value)| format!("{name}={value}"));
    let image = function.pinned.as_ref().map(ToString::to_string);
    Spec {
        name: format!("wharf-function-{}-{}", function.name, &id[..12]),
        image: image.unwrap_or_default(),
        entrypoint: list("EntryPoint"),
        command,
        environment: chosen.chain(own).collect(),
        working_directory: config["WorkingDirectory"].as_str().map(str::to_owned),
        user: None,
        is_read_only: false,
        limits: Limits {
            memory_mib: function.memory_mib,
            cpus: (function.memory_mib as f64 / MIB_PER_CPU).max(1.0),
        },
        network: Network::Own,
        health: None,
        labels: HashMap::from([
            (ROLE.to_owned(), "function".to_owned()),
            (OWNER.to_owned(), function.name.clone()),
            (PART.to_owned(), id.to_owned()),
        ]),
    }
}

/// How an instance's end is told.
fn exited(exit: &Exit) -> String {
    match exit.out_of_memory {
        true => "Runtime exited with error: signal: killed".to_owned(),
        false => format!(
            "Runtime exited with error: exit status {}",
            exit.code.unwrap_or(137)
        ),
    }
}

/// The members of an error that a caller gets.
pub(super) fn fault(kind: &str, message: &str) -> Value {
    serde_json::json!({"errorType": kind, "errorMessage": message})
}
